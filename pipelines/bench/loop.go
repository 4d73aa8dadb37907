package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/transforms/geoip"
	"github.com/flowbeam/flowbeam/transforms/parse"
	"github.com/flowbeam/flowbeam/transforms/rollup"
	"github.com/flowbeam/flowbeam/windowing"
)

// load opens the databases; geoip keeps them for the process, so the run finds them.
func load(c config) error {
	if c.City == "" && c.ASN == "" {
		return nil
	}
	_, err := geoip.Open(c.City, c.ASN)
	return err
}

// loop is the reference: one goroutine, one record at a time, with the pipeline's own
// parser, lookups, rollup and encoders, and no more than the job needs around them.
func loop(c config) error {
	in, err := os.Open(c.Input)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	decoder, err := parse.NewDecoder("canopus", "")
	if err != nil {
		return err
	}
	var db *geoip.DB
	if c.City != "" || c.ASN != "" {
		if db, err = geoip.Open(c.City, c.ASN); err != nil {
			return err
		}
	}
	counts, err := rollup.NewAccumulator(strings.Split(rollupFields, ","), rollup.DefaultMeasures(), []time.Duration{rollupWindow})
	if err != nil {
		return err
	}
	out := newOutput(c)
	letters, err := openFile[flow.Failure](filepath.Join(c.Output, "dead_letters", "part.ndjson.gz"), &flow.Failures, dataset.NDJSON, dataset.Gzip)
	if err != nil {
		return err
	}
	bounds := windowing.FileBounds(flow.TimeOf(time.Now()))
	received := flow.TimeOf(info.ModTime())
	seen := map[flow.ID]struct{}{}
	lines := bufio.NewReaderSize(in, 1<<20)
	var r flow.Record
	for offset := int64(0); ; {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		at := offset
		offset += int64(len(line))
		data := strings.TrimSuffix(string(line), "\n")
		r = flow.Record{Format: "canopus", Position: flow.Position{Source: c.Input, Offset: flow.N(at)}, Received: received}
		_, err = decoder.Decode(data, &r)
		stage := "parse"
		if err == nil {
			if r.ID.IsZero() {
				r.ID = flow.NewIDText("canopus", strings.Trim(data, " \t\r\n"))
			}
			r.SetCommunityID()
			stage = "bounds"
			_, err = bounds.Process(&r)
		}
		if err != nil {
			err = letters.Write(&flow.Failure{Stage: stage, Reason: flow.ReasonOf(err, flow.ReasonSyntax), Error: flow.ErrorText(err), Data: data, Size: int64(len(data)),
				Format: "canopus", Position: r.Position, SourceTime: received, DataCenter: r.DataCenter, Tenant: r.Tenant, Version: flow.Version})
			if err != nil {
				return err
			}
			continue
		}
		if _, dup := seen[r.ID]; dup {
			continue
		}
		seen[r.ID] = struct{}{}
		if db != nil {
			db.Enrich(&r)
		}
		counts.Add(&r)
		if err := out.write(&r); err != nil {
			return err
		}
	}
	if err := errors.Join(out.close(), letters.close()); err != nil {
		return err
	}
	return writeRollups(c, counts)
}

func writeRollups(c config, counts *rollup.Accumulator) error {
	level := rollup.LevelName(rollupWindow)
	table, err := rollup.Table(level, strings.Split(rollupFields, ","), rollup.DefaultMeasures())
	if err != nil {
		return err
	}
	files := map[string]*file[flow.Rollup]{}
	for b := range counts.Rows(rollupWindow) {
		for i := range b.Rows {
			name := hour(b.Rows[i].Window)
			f := files[name]
			if f == nil {
				if f, err = openFile(partName(c, "rollup_"+level, name), table, dataset.Format(c.Format), dataset.Compression(c.Compression)); err != nil {
					return err
				}
				files[name] = f
			}
			if err := f.Write(&b.Rows[i]); err != nil {
				return err
			}
		}
	}
	for _, f := range files {
		err = errors.Join(err, f.close())
	}
	return err
}

// output writes records into one file an hour.
type output struct {
	c     config
	files map[flow.Time]*file[flow.Record]
}

func newOutput(c config) *output { return &output{c, map[flow.Time]*file[flow.Record]{}} }

func (o *output) write(r *flow.Record) error {
	h := r.EventTime.Truncate(time.Hour)
	f := o.files[h]
	if f == nil {
		var err error
		if f, err = openFile(partName(o.c, "flows", hour(h)), &flow.Records, dataset.Format(o.c.Format), dataset.Compression(o.c.Compression)); err != nil {
			return err
		}
		o.files[h] = f
	}
	return f.Write(r)
}

func (o *output) close() (err error) {
	for _, f := range o.files {
		err = errors.Join(err, f.close())
	}
	return err
}

func hour(t flow.Time) string { return t.Std().Format("2006-01-02T15") }

func partName(c config, table, name string) string {
	ext := c.Format
	if c.Format == "ndjson" && c.Compression == "gzip" {
		ext += ".gz"
	}
	return filepath.Join(c.Output, table, fmt.Sprintf("%s.%s", name, ext))
}

type file[T any] struct {
	*dataset.Encoder[T]
	f *os.File
}

func openFile[T any](name string, t *flow.Table[T], format dataset.Format, comp dataset.Compression) (*file[T], error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	enc, err := dataset.NewEncoder(f, t, format, comp)
	return &file[T]{enc, f}, err
}

func (f *file[T]) close() error { return errors.Join(f.Encoder.Close(), f.f.Close()) }
