package objectstore

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// castagnoli is the polynomial of CRC32C, the checksum that both stores know.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// spoolMemory is how many bytes a spool holds in memory; more go to a temporary file.
const spoolMemory = 4 << 20

// Spool holds an object's bytes between their making and the store: in memory while they
// are few, else in a temporary file, which loses its name at once where the system allows
// that, so that not even a killed process leaves it behind. It counts the CRC32C meanwhile.
type Spool struct {
	mem    bytes.Buffer
	file   *os.File
	size   int64
	crc    uint32
	writer string // tells this spool's object from one of the same bytes
	once   sync.Once
}

// NewSpool makes an empty one.
func NewSpool() *Spool {
	var random [16]byte
	rand.Read(random[:]) // never fails
	return &Spool{writer: hex.EncodeToString(random[:])}
}

func (s *Spool) Write(p []byte) (int, error) {
	if s.file == nil && s.mem.Len()+len(p) > spoolMemory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	var n int
	var err error
	if s.file != nil {
		n, err = s.file.Write(p)
	} else {
		n, err = s.mem.Write(p)
	}
	s.size += int64(n)
	s.crc = crc32.Update(s.crc, castagnoli, p[:n])
	return n, err
}

func (s *Spool) spill() error {
	f, err := os.CreateTemp("", "flowbeam-")
	if err != nil {
		return err
	}
	os.Remove(f.Name()) // where a file that is open keeps its name, Close removes it
	s.file = f
	if _, err := f.Write(s.mem.Bytes()); err != nil {
		return err
	}
	s.mem = bytes.Buffer{}
	return nil
}

// Size in bytes.
func (s *Spool) Size() int64 { return s.size }

// ReadAt reads what was written.
func (s *Spool) ReadAt(p []byte, off int64) (int, error) {
	if s.file != nil {
		return s.file.ReadAt(p, off)
	}
	return bytes.NewReader(s.mem.Bytes()).ReadAt(p, off)
}

// section is a reader over all of it that can go back.
func (s *Spool) section() *io.SectionReader { return io.NewSectionReader(s, 0, s.size) }

// Writer is the name that the object keeps in its metadata.
func (s *Spool) Writer() string { return s.writer }

// Close frees it.
func (s *Spool) Close() error {
	s.once.Do(func() {
		if s.file != nil {
			s.file.Close()
			os.Remove(s.file.Name())
		}
		s.mem = bytes.Buffer{}
	})
	return nil
}
