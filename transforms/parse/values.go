package parse

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// The functions of this file read the text of one field. name is the field's, for the
// error: reason "field" where the text is of another type, "value" where it is impossible.

func wrongType(name, want, text string) error {
	return flow.Reject(flow.ReasonField, "%s: want %s, have %s", name, want, quoted(text))
}

func missing(name string) error {
	return flow.Reject(flow.ReasonField, "%s: missing", name)
}

// quoted bounds what an error cites of its input.
func quoted(text string) string {
	const limit = 60
	if len(text) <= limit {
		return strconv.Quote(text)
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strconv.Quote(text[:cut]) + "…"
}

// parseInt reads a decimal integer: -?[0-9]+, with no leading plus and no exponent.
func parseInt(text string) (v int64, ok, inRange bool) {
	if v, ok := shortInt(text); ok {
		return v, true, true
	}
	return longInt(text)
}

// shortInt reads up to 18 digits, which are in range, as nearly all integers are. It is small
// enough to be inlined.
func shortInt(text string) (v int64, ok bool) {
	for i := range len(text) {
		c := text[i] - '0'
		if c > 9 {
			return 0, false
		}
		v = v*10 + int64(c)
	}
	return v, uint(len(text)-1) < 18
}

// longInt is parseInt of anything.
func longInt(text string) (v int64, ok, inRange bool) {
	digits, limit := text, uint64(math.MaxInt64)
	neg := len(text) > 0 && text[0] == '-'
	if neg {
		digits, limit = text[1:], limit+1
	}
	if digits == "" {
		return 0, false, false
	}
	inRange = true
	var u uint64
	for i := 0; i < len(digits); i++ {
		c := digits[i] - '0'
		if c > 9 {
			return 0, false, false
		}
		if u > (limit-uint64(c))/10 {
			inRange = false
			continue
		}
		u = u*10 + uint64(c)
	}
	if neg {
		return -int64(u), true, inRange
	}
	return int64(u), true, inRange
}

// integer reads a whole number from 0 to max.
func integer(name, text string, max int64) (flow.Int, error) {
	v, ok, inRange := parseInt(text)
	if !ok {
		return flow.Int{}, wrongType(name, "an integer", text)
	}
	if !inRange || v < 0 || v > max {
		if max == math.MaxInt64 {
			return flow.Int{}, flow.Reject(flow.ReasonValue, "%s: %s is not between 0 and 2^63-1", name, quoted(text))
		}
		return flow.Int{}, flow.Reject(flow.ReasonValue, "%s: %s is not between 0 and %d", name, quoted(text), max)
	}
	return flow.N(v), nil
}

func count(name, text string) (flow.Int, error) { return integer(name, text, math.MaxInt64) }

func port(name, text string) (flow.Int, error) { return integer(name, text, 65535) }

// setInteger is integer into its place: a copy of one takes longer than reading it.
func setInteger(to *flow.Int, name, text string, max int64) error {
	if v, ok := shortInt(text); ok && v <= max {
		to.V, to.OK = v, true
		return nil
	}
	v, err := integer(name, text, max)
	if err == nil {
		*to = v
	}
	return err
}

func setCount(to *flow.Int, name, text string) error {
	return setInteger(to, name, text, math.MaxInt64)
}

func setPort(to *flow.Int, name, text string) error { return setInteger(to, name, text, 65535) }

// portless takes a port away from a record whose protocol has none: exporters write zeros there.
// What is no zero is kept as an extension.
func portless(ext *extension.List, name string, p *flow.Int) {
	if p.V != 0 {
		ext.Add(flow.ExtN(name, p.V))
	}
	*p = flow.Int{}
}

// setAddress is address into its place: most are IPv4, and a copy of one takes longer than
// reading it.
func setAddress(to *flow.IP, name, text string) error {
	if v, ok := ipv4(text); ok {
		setIPv4(to, v)
		return nil
	}
	ip, err := address(name, text)
	if err == nil {
		*to = ip
	}
	return err
}

func setIPv4(to *flow.IP, v uint32) {
	*to = flow.IP{Len: 4}
	binary.BigEndian.PutUint32(to.B[:4], v)
}

// ipv4 reads "192.0.2.1". What it does not take is for netip to judge.
func ipv4(s string) (ip uint32, ok bool) {
	i := 0
	for part := range 4 {
		if part > 0 {
			if i == len(s) || s[i] != '.' {
				return 0, false
			}
			i++
		}
		if i == len(s) || s[i]-'0' > 9 {
			return 0, false
		}
		v := uint32(s[i] - '0')
		if i++; i < len(s) && s[i]-'0' <= 9 {
			if v == 0 {
				return 0, false // a leading zero
			}
			v = v*10 + uint32(s[i]-'0')
			if i++; i < len(s) && s[i]-'0' <= 9 {
				if v = v*10 + uint32(s[i]-'0'); v > 255 {
					return 0, false
				}
				i++
			}
		}
		ip = ip<<8 | v
	}
	return ip, i == len(s)
}

func address(name, text string) (flow.IP, error) {
	ip, err := flow.ParseIP(text)
	if err != nil {
		return flow.IP{}, wrongType(name, "an IP address", text)
	}
	return ip, nil
}

// ratio reads a number from 0 to 1. One above is a percentage or broken, and it is not
// for us to guess which.
func ratio(name, text string) (flow.Float, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(v, 0) {
		return flow.Float{}, wrongType(name, "a number", text)
	}
	if f, ok := ratioOf(v); ok {
		return f, nil
	}
	return flow.Float{}, flow.Reject(flow.ReasonValue, "%s: %s is not a ratio between 0 and 1", name, quoted(text))
}

// ratioOf is a number from 0 to 1.
func ratioOf(v float64) (f flow.Float, ok bool) {
	if !(v >= 0 && v <= 1) {
		return flow.Float{}, false
	}
	if v == 0 {
		v = 0 // not -0
	}
	return flow.F(v), true
}

// nanoseconds reads a decimal number of units of 10^scale ns, not negative: a span of
// time, or an instant since the epoch.
func nanoseconds(name, text string, scale int) (int64, error) {
	v, ok, inRange := decimal(text, scale)
	if !ok {
		return 0, wrongType(name, "a number", text)
	}
	if !inRange || v < 0 {
		return 0, flow.Reject(flow.ReasonValue, "%s: %s is negative or too large", name, quoted(text))
	}
	return v, nil
}

// The scales of nanoseconds.
const (
	seconds      = 9
	milliseconds = 6
	microseconds = 3
)

// decimal reads the number text (JSON's grammar; leading zeros are let pass) times
// 10^scale, rounded to the nearest integer, halves away from zero. It goes by the digits,
// so that 15.6 ms is 15,600,000 ns: a float would add noise, and a large number would
// lose its last digits.
func decimal(text string, scale int) (v int64, ok, inRange bool) {
	if v, ok := shortDecimal(text, scale); ok {
		return v, true, true
	}
	i := 0
	neg := len(text) > 0 && text[0] == '-'
	if neg {
		i++
	}
	var mantissa uint64 // the first 19 significant digits
	var next byte       // the digit after these
	exp := scale
	significant, digits := 0, 0
	digit := func(c byte, fraction bool) {
		switch {
		case significant < 19:
			if mantissa = mantissa*10 + uint64(c-'0'); mantissa > 0 {
				significant++
			}
			if fraction {
				exp--
			}
			return
		case significant == 19:
			significant, next = 20, c
		}
		if !fraction {
			exp++
		}
	}
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		digit(text[i], false)
		digits++
	}
	if digits == 0 {
		return 0, false, false
	}
	if i < len(text) && text[i] == '.' {
		i++
		start := i
		for ; i < len(text) && text[i]-'0' <= 9; i++ {
			digit(text[i], true)
		}
		if i == start {
			return 0, false, false
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		negExp := false
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			negExp = text[i] == '-'
			i++
		}
		start, e := i, 0
		for ; i < len(text) && text[i]-'0' <= 9; i++ {
			// An exponent beyond any text's length has the same effect as this one.
			e = min(e*10+int(text[i]-'0'), 1<<30)
		}
		if i == start {
			return 0, false, false
		}
		if negExp {
			e = -e
		}
		exp += e
	}
	if i != len(text) {
		return 0, false, false
	}
	switch {
	case mantissa == 0:
		return 0, true, true
	case exp > 0:
		if exp > 18 || mantissa > math.MaxInt64/pow10[exp] {
			return 0, true, false
		}
		mantissa *= pow10[exp]
	case exp == 0:
		if next >= '5' {
			mantissa++
		}
	case exp < -19:
		mantissa = 0
	default:
		p := pow10[-exp]
		rest := mantissa % p
		if mantissa /= p; rest >= p/2 {
			mantissa++
		}
	}
	if mantissa > math.MaxInt64 {
		return 0, true, false
	}
	if neg {
		return -int64(mantissa), true, true
	}
	return int64(mantissa), true, true
}

// shortDecimal is decimal of what most numbers are: digits with a point at most, not so many
// that anything could be lost.
func shortDecimal(text string, scale int) (int64, bool) {
	// The two parts are two sums, which a processor adds up beside each other.
	whole, fraction, i := int64(0), int64(0), 0
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		whole = whole*10 + int64(text[i]-'0')
	}
	size := len(text)
	if i < size {
		if text[i] != '.' || i == 0 || i == size-1 {
			return 0, false
		}
		places := size - i - 1
		if scale -= places; scale < 0 || size > 19 {
			return 0, false
		}
		for i++; i < size; i++ {
			c := text[i] - '0'
			if c > 9 {
				return 0, false
			}
			fraction = fraction*10 + int64(c)
		}
		whole = whole*int64(pow10[places]) + fraction
		size--
	}
	if size == 0 || size > 18 || scale > 18 || whole > math.MaxInt64/int64(pow10[scale]) {
		return 0, false
	}
	return whole * int64(pow10[scale]), true
}

var pow10 = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// timestamp reads RFC 3339 as encoding/json/v2 does: upper case T and Z, two digits
// everywhere, digits of the second beyond the ninth cut off, no leap second.
func timestamp(name, text string) (flow.Time, error) {
	t, ok, inRange := rfc3339(text)
	if !ok {
		return 0, wrongType(name, "an RFC 3339 time", text)
	}
	if !inRange {
		return 0, beyondYears(name, text)
	}
	return t, nil
}

func beyondYears(name, text string) error {
	return flow.Reject(flow.ReasonValue, "%s: %s is beyond the years that nanoseconds can hold, 1678 to 2262", name, quoted(text))
}

func rfc3339(s string) (t flow.Time, ok, inRange bool) {
	secs, nanos, zone, ok := civil(s, '-', 'T')
	if !ok {
		return 0, false, false
	}
	offset := int64(0)
	switch {
	case zone == "Z":
	case len(zone) == len("+00:00") && zone[3] == ':':
		if offset, ok = zoneOffset(zone[:3], zone[4:]); !ok {
			return 0, false, false
		}
	default:
		return 0, false, false
	}
	return instant(secs-offset, nanos)
}

func twoDigits(s string, i int) (int, bool) {
	a, b := s[i]-'0', s[i+1]-'0'
	return int(a)*10 + int(b), a <= 9 && b <= 9
}

func daysIn(year, month int) int {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return int([...]uint8{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1])
}

// daysSinceEpoch counts the days of the Gregorian calendar since 1970-01-01. The year is
// taken to begin in March, so that the leap day is its last.
func daysSinceEpoch(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year+year/4-year/100+year/400+(153*(month-3)+2)/5+day-1) - 719468
}

// trim cuts JSON's white space off both ends.
func trim(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// trimLine cuts the line's end off.
func trimLine(s string) string {
	for s != "" && (s[len(s)-1] == '\n' || s[len(s)-1] == '\r') {
		s = s[:len(s)-1]
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// firstLine is what stands before the first line end.
func firstLine(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] == '\n' {
			return s[:i]
		}
	}
	return s
}
