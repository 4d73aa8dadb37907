package anonymize

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// errReference doesn't quote what it was given: it may be the key itself.
var errReference = errors.New("the key is given as file:PATH or env:NAME, never itself")

// Check says whether the key can be had here, for a launcher. The error never has the key.
func Check(ref string) error {
	if err := checkReference(ref); err != nil {
		return err
	}
	_, err := loadKey(ref)
	return err
}

func checkReference(ref string) error {
	for _, scheme := range []string{"file:", "env:"} {
		if name, ok := strings.CutPrefix(ref, scheme); ok && name != "" {
			return nil
		}
	}
	return errReference
}

// keys holds each key as it was first read in this process: one that is exchanged under a
// running job would map one address to two.
var keys sync.Map // reference to []byte

func loadKey(ref string) ([]byte, error) {
	if k, ok := keys.Load(ref); ok {
		return k.([]byte), nil
	}
	text, err := readReference(ref)
	if err != nil {
		return nil, err
	}
	key, err := decodeKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	k, _ := keys.LoadOrStore(ref, key)
	return k.([]byte), nil
}

func readReference(ref string) ([]byte, error) {
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		return os.ReadFile(path)
	}
	if name, ok := strings.CutPrefix(ref, "env:"); ok {
		v, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("the environment variable %s is not set", name)
		}
		return []byte(v), nil
	}
	return nil, errReference
}

// decodeKey takes 32 bytes as they are, or as 64 hexadecimal digits, or in base64, with or
// without a newline behind. An error says nothing of the content but its length.
func decodeKey(b []byte) ([]byte, error) {
	if len(b) == KeySize {
		return bytes.Clone(b), nil
	}
	text := string(bytes.TrimSpace(b))
	if key, err := hex.DecodeString(text); err == nil && len(key) == KeySize {
		return key, nil
	}
	if key, err := base64.StdEncoding.DecodeString(text); err == nil && len(key) == KeySize {
		return key, nil
	}
	return nil, fmt.Errorf("not a key: want %d bytes, as they are, in hexadecimal or in base64; have %d bytes", KeySize, len(b))
}
