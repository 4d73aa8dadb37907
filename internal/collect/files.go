package collect

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/klauspost/compress/zstd"
)

// FilesConfig says where files are written, and when one ends.
type FilesConfig struct {
	Dir   string
	Host  string        // begins their names. Default: that of the machine
	Every time.Duration // an age at which a file ends. Default: 1 minute
	Bytes int64         // a size, before compression. Default: 64 MiB
	Zstd  bool
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$`)

// Check returns every problem of the configuration; the folder is made where it is absent.
func (c *FilesConfig) Check() (problems []error) {
	if !hostName.MatchString(c.Host) {
		problems = append(problems, fmt.Errorf("--host: %q: want 1 to 100 letters, digits, dots and hyphens", c.Host))
	}
	if c.Every <= 0 {
		problems = append(problems, fmt.Errorf("--file_every: %v is not positive", c.Every))
	}
	if c.Bytes <= 0 {
		problems = append(problems, fmt.Errorf("--file_bytes: %d is not positive", c.Bytes))
	}
	err := os.MkdirAll(c.Dir, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(c.Dir, ".try-*.tmp"); err == nil {
			f.Close()
			err = os.Remove(f.Name())
		}
	}
	if err != nil {
		problems = append(problems, fmt.Errorf("--output: %w", err))
	}
	return problems
}

// Files writes envelopes to files, each with its length in 4 bytes in front, big-endian. A file
// is written under a name that readers pass over and gets its own when it is whole and on the
// disk: HOST-START-COUNTER.lp, or .lp.zst. Its envelopes are written then. Disks that are full
// or away are tried again for as long as there is time.
type Files struct {
	c     FilesConfig
	now   func() time.Time
	count int

	file    *os.File // nil: none is open
	name    string   // in Dir, when it is whole
	begun   time.Time
	flushed time.Time
	bytes   int64
	out     *bufio.Writer
	zstd    *zstd.Encoder
	w       io.Writer // zstd or out
	pending receipts
	trouble trouble

	// fault, in tests, is an error of the disk at a step: create, write, sync, rename.
	fault func(step string) error
}

const tmpSuffix = ".tmp"

// NewFiles makes the Sink of a configuration that Check takes.
func NewFiles(c FilesConfig) *Files {
	return &Files{c: c, now: time.Now, trouble: trouble{what: "collect: a file cannot be written, it is tried again"}}
}

// Leftovers are files that a process left when it was killed: what had been written of them is there
// to be read.
func (f *Files) Leftovers() []string {
	found, _ := filepath.Glob(filepath.Join(f.c.Dir, ".*.lp*"+tmpSuffix))
	return found
}

func (f *Files) at(step string) error {
	if f.fault != nil {
		return f.fault(step)
	}
	return nil
}

// Write appends an envelope.
func (f *Files) Write(ctx context.Context, it *Item) {
	if f.file == nil && !f.open(ctx) {
		it.Lost()
		return
	}
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(it.Data)))
	f.w.Write(length[:]) // an error stays, and is seen when the file ends
	_, err := f.w.Write(it.Data)
	f.bytes += int64(len(length) + len(it.Data))
	f.pending.add(it)
	if err != nil || f.bytes >= f.c.Bytes {
		f.finish(ctx)
	}
}

// flushEvery is how much of what comes a process that is killed may lose.
const flushEvery = time.Second

// Idle ends a file whose time has come, and gives what there is to the kernel.
func (f *Files) Idle(ctx context.Context) {
	if f.file == nil {
		return
	}
	now := f.now()
	if now.Sub(f.begun) >= f.c.Every {
		f.finish(ctx)
	} else if now.Sub(f.flushed) >= flushEvery {
		f.flushed = now
		if f.zstd != nil {
			f.zstd.Flush()
		}
		f.out.Flush() // an error stays
	}
}

// Close ends the last file.
func (f *Files) Close(ctx context.Context) error {
	if f.file == nil {
		return nil
	}
	return f.finish(ctx)
}

// open begins a file. It says false where the time is over.
func (f *Files) open(ctx context.Context) bool {
	f.begun = f.now()
	err := again(ctx, &f.trouble, func() error {
		if err := f.at("create"); err != nil {
			return err
		}
		for {
			f.count++
			name := fmt.Sprintf("%s-%s-%06d.lp", f.c.Host, f.begun.UTC().Format("20060102T150405Z"), f.count)
			if f.c.Zstd {
				name += ".zst"
			}
			file, err := os.OpenFile(filepath.Join(f.c.Dir, "."+name+tmpSuffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if errors.Is(err, fs.ErrExist) {
				continue // another process of this host
			}
			if err != nil {
				return err
			}
			// Whoever had the name may have finished between.
			if _, err := os.Lstat(filepath.Join(f.c.Dir, name)); err == nil {
				file.Close()
				os.Remove(file.Name())
				continue
			}
			f.file, f.name = file, name
			return nil
		}
	})
	if err != nil {
		return false
	}
	f.bytes, f.flushed = 0, f.begun
	f.out = bufio.NewWriterSize(&patient{f, ctx}, 256<<10)
	f.w = f.out
	if f.c.Zstd {
		f.zstd, err = zstd.NewWriter(f.out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic(err) // of options that are constant
		}
		f.w = f.zstd
	}
	return true
}

// finish ends the open file, and settles what is in it.
func (f *Files) finish(ctx context.Context) error {
	err := f.end(ctx)
	if err == nil {
		f.pending.settle(written)
	} else {
		slog.Error("collect: a file is not whole; what is in it stays under its temporary name", "file", f.file.Name(), "error", err)
		f.pending.settle(lostSink)
	}
	f.file.Close()
	f.file, f.out, f.zstd, f.w = nil, nil, nil, nil
	return err
}

func (f *Files) end(ctx context.Context) error {
	if f.zstd != nil {
		if err := f.zstd.Close(); err != nil {
			return err
		}
	}
	if err := f.out.Flush(); err != nil {
		return err
	}
	// Not tried again: of what it could not write the kernel says so once.
	err := f.at("sync")
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return err
	}
	return again(ctx, &f.trouble, func() error {
		if err := f.at("rename"); err != nil {
			return err
		}
		if err := os.Rename(f.file.Name(), filepath.Join(f.c.Dir, f.name)); err != nil {
			return err
		}
		return syncDir(f.c.Dir)
	})
}

// syncDir makes a new name last. Where folders can't be synced there is nothing to do.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	d.Sync()
	return nil
}

// patient writes to the file, and tries what failed again from where it stopped.
type patient struct {
	f   *Files
	ctx context.Context
}

func (p *patient) Write(b []byte) (int, error) {
	done := 0
	err := again(p.ctx, &p.f.trouble, func() error {
		if err := p.f.at("write"); err != nil {
			return err
		}
		n, err := p.f.file.Write(b[done:])
		done += n
		return err
	})
	return done, err
}

// retryEvery is the pause between tries.
const retryEvery = 250 * time.Millisecond

// again tries until it succeeds or the time is over.
func again(ctx context.Context, t *trouble, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		t.tell(err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryEvery):
		}
	}
}

// trouble logs an error that comes again and again, once in a while.
type trouble struct {
	what string
	last time.Time
}

const tellEvery = 10 * time.Second

func (t *trouble) tell(err error) {
	if now := time.Now(); now.Sub(t.last) >= tellEvery {
		t.last = now
		slog.Warn(t.what, "error", err)
	}
}
