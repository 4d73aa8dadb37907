package parse

import (
	"strings"
	"time"
	_ "time/tzdata" // workers' images often have no zone files

	"github.com/flowbeam/flowbeam/flow"
)

// timezoneDirective begins a header line that says in which zone times without an offset
// are: "#timezone Asia/Tokyo" or "#timezone +09:00". It is a line of the declared header, or
// of the file itself before its own header.
const timezoneDirective = "#timezone"

// zone is that in which an input's local times are. The zero zone is UTC.
type zone struct{ location *time.Location }

// readZone takes the directives at a header's start off it.
func readZone(header string) (z zone, rest string, err error) {
	for {
		line := firstLine(header)
		name, ok := strings.CutPrefix(trim(line), timezoneDirective)
		if !ok || name == "" || !isSpace(name[0]) {
			return z, header, nil
		}
		if z, err = zoneNamed(trim(name)); err != nil {
			return z, "", err
		}
		header = header[min(len(line)+1, len(header)):]
	}
}

func zoneNamed(name string) (zone, error) {
	if len(name) == len("+00:00") && name[3] == ':' {
		if offset, ok := zoneOffset(name[:3], name[4:]); ok {
			return zone{time.FixedZone("", int(offset))}, nil
		}
	}
	l, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" { // the worker's own zone says nothing of the input's
		return zone{}, flow.Reject(flow.ReasonFormat, "%s %s: want a name of the IANA time zone database, or an offset such as +09:00", timezoneDirective, quoted(name))
	}
	return zone{l}, nil
}

// skipZone returns how many of head's first bytes are directives.
func skipZone(head []byte) int {
	n := 0
	for {
		line := firstLine(view(head[n:]))
		if !strings.HasPrefix(trim(line), timezoneDirective) {
			return n
		}
		if n += len(line) + 1; n >= len(head) {
			return len(head)
		}
	}
}

// instant makes a time of a reading of the zone's clock, given as if it were UTC. Of the
// two times that an hour which is gone through twice has, it is one; which is not said.
func (z zone) instant(secs, nanos int64) (t flow.Time, ok, inRange bool) {
	if z.location != nil {
		_, offset := time.Unix(secs, 0).In(z.location).Zone()
		_, offset = time.Unix(secs-int64(offset), 0).In(z.location).Zone()
		secs -= int64(offset)
	}
	return instant(secs, nanos)
}

// local reads "2006-01-02 15:04:05.999" with '-' or '/' between the date's parts and a space
// or T behind it, in the zone; or with an offset or Z behind it.
func (z zone) local(name, text string) (flow.Time, error) {
	if len(text) > len("2006-01-02") {
		date, between := text[4], text[10]
		if (date == '-' || date == '/') && (between == ' ' || between == 'T') {
			if secs, nanos, rest, ok := civil(text, date, between); ok {
				t, inRange := flow.Time(0), false
				switch {
				case rest == "":
					t, ok, inRange = z.instant(secs, nanos)
				case rest == "Z":
					t, ok, inRange = instant(secs, nanos)
				default:
					colon := len(rest) == len("+00:00") && rest[3] == ':'
					if !colon && len(rest) != len("+0000") {
						return 0, wrongType(name, "a time such as 2006-01-02 15:04:05.999", text)
					}
					var offset int64
					if offset, ok = zoneOffset(rest[:3], rest[len(rest)-2:]); ok {
						t, ok, inRange = instant(secs-offset, nanos)
					}
				}
				if ok && !inRange {
					return 0, flow.Reject(flow.ReasonValue, "%s: %s is beyond the years that nanoseconds can hold, 1678 to 2262", name, quoted(text))
				}
				if ok {
					return t, nil
				}
			}
		}
	}
	return 0, wrongType(name, "a time such as 2006-01-02 15:04:05.999", text)
}
