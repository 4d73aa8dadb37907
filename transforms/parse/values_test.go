package parse

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// decimalByRat is decimal by exact arithmetic.
func decimalByRat(s string, scale int) (v int64, ok, inRange bool) {
	digits := strings.TrimPrefix(s, "-")
	for len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		digits = digits[1:]
	}
	if !isJSONNumber(digits) || digits[0] == '-' {
		return 0, false, false
	}
	r, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, false, false
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	r.Add(r, big.NewRat(1, 2))
	q := new(big.Int).Quo(r.Num(), r.Denom())
	if !q.IsInt64() {
		return 0, true, false
	}
	if strings.HasPrefix(s, "-") {
		q.Neg(q)
	}
	return q.Int64(), true, true
}

func TestDecimalHasNoFloatNoise(t *testing.T) {
	for _, c := range []struct {
		text  string
		scale int
		want  int64
	}{
		{"15.6", milliseconds, 15_600_000},
		{"0.1", milliseconds, 100_000},
		{"75.2", milliseconds, 75_200_000},
		{"1.0000005", milliseconds, 1_000_001},
		{"1.00000049999", milliseconds, 1_000_000},
		{"1714417137.321305", seconds, 1_714_417_137_321_305_000},
		{"1.5e-3", seconds, 1_500_000},
		{"2E2", seconds, 200_000_000_000},
		{"1714417137.1234567895", seconds, 1_714_417_137_123_456_790},
		{"9223372036.8547758074", seconds, 9_223_372_036_854_775_807},
		{"0.00000000000000000000000001", seconds, 0},
		{"1e-999999999999", seconds, 0},
		{"-0", seconds, 0},
	} {
		if got, ok, inRange := decimal(c.text, c.scale); got != c.want || !ok || !inRange {
			t.Errorf("%s: %d %v %v, want %d", c.text, got, ok, inRange, c.want)
		}
	}
	for _, text := range []string{"9223372036.854775808", "1e999999999999", "99999999999999999999"} {
		if _, ok, inRange := decimal(text, seconds); !ok || inRange {
			t.Errorf("%s: in range", text)
		}
	}
	for _, text := range []string{"", "-", ".5", "1.", "1e", "1e+", "+1", " 1", "1 ", "0x1", "1_0", "NaN", "Inf"} {
		if _, ok, _ := decimal(text, seconds); ok {
			t.Errorf("%q is no number", text)
		}
	}
}

func TestRFC3339AgreesWithTheStandardLibrary(t *testing.T) {
	start := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC)
	for d := start; d.Year() < 2262; d = d.Add(1237 * time.Minute * 61) {
		for _, s := range []string{d.Format(time.RFC3339Nano), d.Add(123456789).In(time.FixedZone("", -5*3600)).Format(time.RFC3339Nano)} {
			want, err := time.Parse(time.RFC3339Nano, s)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok, inRange := rfc3339(s); !ok || !inRange || got != flow.Time(want.UnixNano()) {
				t.Fatalf("%s: %v %v %v", s, got, ok, inRange)
			}
		}
	}
	for _, s := range []string{
		"2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z",
		"2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01t00:00:00Z", "2024-01-01T00:00:00z", "2024-01-01T00:00:00",
		"2024-01-01T00:00:00.Z", "2024-01-01T00:00:00,5Z", "2024-01-01T0:00:00Z", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+0100",
		"2024-01-01T00:00:00Z ", "2024-01-01 00:00:00Z", "20240101T000000Z",
	} {
		if _, ok, _ := rfc3339(s); ok {
			t.Errorf("%q passes", s)
		}
	}
}

// Addresses are those that netip takes, however they are read.
func TestAddressesAreThoseOfNetip(t *testing.T) {
	texts := []string{
		"0.0.0.0", "255.255.255.255", "1.2.3.4", "192.0.2.10", "192.0.2.100", "10.0.0.1",
		"", ".", "1", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", ".1.2.3", "1..2.3", "01.2.3.4", "1.2.3.00", "1.2.3.04", "256.1.1.1", "1.1.1.1000",
		"1.2.3.-4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4%eth0", "1,2,3,4", "1.2.3.a", "4294967297.0.0.1",
		"::", "::1", "2001:db8::1", "::ffff:1.2.3.4", "fe80::1%eth0", "::ffff:01.2.3.4", "2001:db8", "x",
	}
	for i := range 300 {
		texts = append(texts, fmt.Sprintf("1.%d.3.4", i), fmt.Sprintf("1.2.3.%d", i))
	}
	for _, s := range texts {
		got := flow.MustIP("2001:db8::ff") // of which nothing may stay
		err := setAddress(&got, "a", s)
		want, wrong := flow.ParseIP(s)
		if (err == nil) != (wrong == nil) || err == nil && got != want {
			t.Errorf("%q: %v %v, want %v %v", s, got, err, want, wrong)
		}
	}
}
