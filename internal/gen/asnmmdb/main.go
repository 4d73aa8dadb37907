// Command asnmmdb turns CSV tables of autonomous systems into one mmdb file in MaxMind's
// ASN schema. A row is first address, last address, number, organisation:
//
//	go run ./internal/gen/asnmmdb -epoch 2026-06-17 -out asn.mmdb asn-ipv4.csv asn-ipv6.csv
package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

func main() {
	epoch := flag.String("epoch", "", "build date of the data, YYYY-MM-DD")
	out := flag.String("out", "asn.mmdb", "file to write")
	flag.Parse()
	if err := run(*epoch, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "asnmmdb:", err)
		os.Exit(1)
	}
}

func run(epoch, out string, tables []string) error {
	built, err := time.Parse(time.DateOnly, epoch)
	if err != nil {
		return fmt.Errorf("-epoch: %w", err)
	}
	if len(tables) == 0 {
		return errors.New("no CSV table is named")
	}
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "ASN", Description: map[string]string{"en": "Autonomous systems"},
		BuildEpoch: built.Unix(), RecordSize: 24,
	})
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := insert(tree, table); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = tree.WriteTo(w)
	return errors.Join(err, w.Flush(), f.Close())
}

func insert(tree *mmdbwriter.Tree, table string) error {
	f, err := os.Open(table)
	if err != nil {
		return err
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReaderSize(f, 1<<20))
	r.FieldsPerRecord, r.ReuseRecord = 4, true
	for {
		row, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		line, _ := r.FieldPos(0)
		number, err := strconv.ParseUint(row[2], 10, 32)
		first, last := net.ParseIP(row[0]), net.ParseIP(row[1])
		if err != nil || first == nil || last == nil {
			return fmt.Errorf("line %d: %q is not a range of addresses and a number", line, row)
		}
		err = tree.InsertRange(first, last, mmdbtype.Map{
			"autonomous_system_number":       mmdbtype.Uint32(number),
			"autonomous_system_organization": mmdbtype.String(row[3]),
		})
		// Reserved networks, and IPv6 networks that stand for IPv4, are left out.
		var reserved *mmdbwriter.ReservedNetworkError
		var aliased *mmdbwriter.AliasedNetworkError
		if err != nil && !errors.As(err, &reserved) && !errors.As(err, &aliased) {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}
