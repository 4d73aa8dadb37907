package reload

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// stamp tells two states of a file apart without reading it. The inode is part of it,
// because a rename may bring a file of the same size and time.
type stamp struct {
	size, modified int64 // bytes, Unix nanoseconds
	inode          uint64
}

func (s stamp) racy() bool { return time.Now().UnixNano()-s.modified < int64(racy) }

func stampOf(fi fs.FileInfo) stamp {
	return stamp{size: fi.Size(), modified: fi.ModTime().UnixNano(), inode: inode(fi)}
}

func statFile(path string) (stamp, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stampOf(fi), nil
}

var errMoving = errors.New("changed while it was read")

// readFile reads a whole file that holds still: what stood there before the read and after
// it must be the same file of the same size and time.
func readFile(path string) (data []byte, st stamp, err error) {
	for try := range 5 {
		if try > 0 {
			time.Sleep(time.Duration(try) * 20 * time.Millisecond)
		}
		if data, st, err = readOnce(path); !errors.Is(err, errMoving) {
			return data, st, err
		}
	}
	return nil, stamp{}, err
}

func readOnce(path string) ([]byte, stamp, error) {
	fi, err := os.Stat(path) // before Open, which would wait on a pipe
	if err != nil {
		return nil, stamp{}, err
	}
	if !fi.Mode().IsRegular() {
		return nil, stamp{}, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, stamp{}, err
	}
	defer file.Close()
	before := stampOf(fi)
	var buf bytes.Buffer
	buf.Grow(int(before.size) + bytes.MinRead)
	// One byte more than the size shows that the file grew.
	if _, err := buf.ReadFrom(io.LimitReader(file, before.size+1)); err != nil {
		return nil, stamp{}, err
	}
	after, err := statFile(path)
	if err != nil {
		return nil, stamp{}, err
	}
	if before != after || int64(buf.Len()) != before.size {
		return nil, stamp{}, fmt.Errorf("%s: %w", path, errMoving)
	}
	return buf.Bytes(), after, nil
}
