package main

var sourceGuards = []guard{
	{
		name: "filesource/split-within-a-batch",
		why:  "lines are lost where the runner splits a range while a batch of it is under way",
		file: "sources/filesource/read.go",
		old:  "b.Records = before(b.Records, rest().End)",
		new:  "b.Records = nil",
		test: "TestEachLineIsReadOnceHoweverTheRunnerSplits",
	}, {
		name: "filesource/claimed-prefix",
		why:  "lines that a split gave to another range are read twice",
		file: "sources/filesource/read.go",
		old:  "records[len(records)-1].Offset.V >= end {",
		new:  "records[len(records)-1].Offset.V >= end && false {",
		test: "TestEachLineIsReadOnceHoweverTheRunnerSplits",
	}, {
		name: "filesource/range-start",
		why:  "a line that begins right where a range begins is lost",
		file: "sources/filesource/part.go",
		old:  "stored, err = p.source(ctx, start-1); err != nil {\n			return err\n		}\n		p.cut = lineCutter{r: stored, max: p.c.MaxLine, off: start - 1}",
		new:  "stored, err = p.source(ctx, start); err != nil {\n			return err\n		}\n		p.cut = lineCutter{r: stored, max: p.c.MaxLine, off: start}",
		test: "TestEachLineIsReadOnceHoweverTheRunnerSplits",
	}, {
		name: "filesource/header-of-each-range",
		why:  "all ranges but the first are read without the columns' names",
		file: "sources/filesource/part.go",
		old:  "		p.Close()\n		p.close = nil\n",
		new:  "		p.Close()\n		p.close = nil\n		p.origin.Header = \"\"\n",
		test: "TestReadGivesEachLineOnceHoweverFilesAreStored",
	}, {
		name: "filesource/bomb",
		why:  "a small file fills the disk or the memory of a worker",
		file: "sources/filesource/compress.go",
		old:  "case b.out > ratioFrom && b.out/b.ratio > b.in.n:",
		new:  "case false:",
		test: "TestABombIsStoppedWithMemoryFlat",
	}, {
		name: "filesource/line-cap",
		why:  "a file of one line takes the worker's memory",
		file: "sources/filesource/lines.go",
		old:  `if scanned > c.max+len("\r") {`,
		new:  "if false {",
		test: "TestOversizeLineLeavesMemoryFlatAndNeighboursAlone",
	}, {
		name: "filesource/blank-lines",
		why:  "white space is counted as records and becomes dead letters",
		file: "sources/filesource/lines.go",
		old:  "!blank(l.data) || l.oversize {",
		new:  "true || !blank(l.data) || l.oversize {",
		test: "TestLines",
	}, {
		name: "filesource/offsets",
		why:  "a dead letter's position, and so its id, depends on how the file was cut",
		file: "sources/filesource/lines.go",
		old:  "	c.off += int64(n)\n",
		new:  "	c.off += int64(n) &^ 1\n",
		test: "TestLines",
	}, {
		name: "filesource/far-future",
		why:  "one record of a wrong clock moves the watermark, and all others are late",
		file: "sources/filesource/watchstate.go",
		old:  "p.Newest = max(p.Newest, min(newest, s.Current.ModTime, now))",
		new:  "p.Newest = max(p.Newest, newest)",
		test: "TestAFarFutureRecordDoesNotMoveTheWatermarkBeyondTheFile",
	},
}
