package loadgen_test

import (
	"fmt"

	"github.com/flowbeam/flowbeam/internal/loadgen"
)

func ExampleGenerator() {
	c := loadgen.Default()
	c.Records, c.Broken, c.Duplicates = 10, 0.1, 0.2
	c.Addresses = loadgen.Documentation
	g, err := loadgen.New(c)
	if err != nil {
		panic(err)
	}
	line, _ := g.Next()
	fmt.Printf("%s", line.Data)
	for ok := true; ok; {
		_, ok = g.Next()
	}
	t := g.Truth()
	fmt.Println(t.Read, "read:", t.Unique, "unique,", t.Duplicates, "duplicates,", t.DeadLetters.Total, "broken")
	// Output:
	// {"timestamp":"2026-01-15T12:04:02.385Z","user_id":"user11110","client_ip":"10.1.0.31","server_ip":"203.0.113.246","download_bytes":879076,"upload_bytes":619253,"internal_rtt":2.85,"external_rtt":277.06,"internal_loss":0.0182,"external_loss":0.0656}
	// 10 read: 7 unique, 2 duplicates, 1 broken
}
