package parse

import (
	"math"

	"github.com/flowbeam/flowbeam/flow"
)

// civil reads the date and time of day that s begins with, "2006-01-02T15:04:05" with date
// and between as the marks inside and behind the date, and a fraction of the second, whose
// digits beyond the ninth are cut off. It returns the time as if it were UTC, and what
// follows it: the zone, where there is one.
func civil(s string, date, between byte) (secs, nanos int64, rest string, ok bool) {
	if len(s) < len("2006-01-02T15:04:05") || s[4] != date || s[7] != date || s[10] != between || s[13] != ':' || s[16] != ':' {
		return 0, 0, "", false
	}
	century, ok1 := twoDigits(s, 0)
	year, ok2 := twoDigits(s, 2)
	month, ok3 := twoDigits(s, 5)
	day, ok4 := twoDigits(s, 8)
	hour, ok5 := twoDigits(s, 11)
	minute, ok6 := twoDigits(s, 14)
	second, ok7 := twoDigits(s, 17)
	year += century * 100
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) || month < 1 || month > 12 ||
		day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, 0, "", false
	}
	i := 19
	if i < len(s) && s[i] == '.' {
		i++
		start := i
		for unit := int64(1e8); i < len(s) && s[i]-'0' <= 9; i++ {
			nanos += int64(s[i]-'0') * unit
			unit /= 10
		}
		if i == start {
			return 0, 0, "", false
		}
	}
	return (daysSinceEpoch(year, month, day)*24+int64(hour))*3600 + int64(minute)*60 + int64(second), nanos, s[i:], true
}

// zoneOffset reads "+01" and "30" as seconds east of UTC.
func zoneOffset(hours, minutes string) (int64, bool) {
	if len(hours) != 3 || len(minutes) != 2 || hours[0] != '+' && hours[0] != '-' {
		return 0, false
	}
	h, ok1 := twoDigits(hours, 1)
	m, ok2 := twoDigits(minutes, 0)
	if !ok1 || !ok2 || h > 23 || m > 59 {
		return 0, false
	}
	if hours[0] == '-' {
		return -int64(h*60+m) * 60, true
	}
	return int64(h*60+m) * 60, true
}

// instant makes a time of seconds since the epoch and a fraction of one.
func instant(secs, nanos int64) (t flow.Time, ok, inRange bool) {
	const last = math.MaxInt64 / 1_000_000_000
	if secs < -last || secs > last || secs == last && nanos > math.MaxInt64%1_000_000_000 {
		return 0, true, false
	}
	return flow.Time(secs*1e9 + nanos), true, true
}

// iso8601 is [rfc3339] that also takes an offset without colon, "+0200".
func iso8601(s string) (t flow.Time, ok, inRange bool) {
	if n := len(s); n > len("2006-01-02T15:04:05") && (s[n-5] == '+' || s[n-5] == '-') {
		secs, nanos, zone, ok := civil(s, '-', 'T')
		if !ok || len(zone) != len("+0000") {
			return 0, false, false
		}
		offset, ok := zoneOffset(zone[:3], zone[3:])
		if !ok {
			return 0, false, false
		}
		return instant(secs-offset, nanos)
	}
	return rfc3339(s)
}

// endOrStart sets the event time to the flow's end, or to its start where there is none. end
// and start are the names of the two fields, for the error where the end is before the start
// or neither is there.
func endOrStart(r *flow.Record, end, start string) error {
	switch {
	case r.Start != 0 && r.End != 0 && r.End < r.Start:
		return flow.Reject(flow.ReasonValue, "%s: %v is before %s, %v", end, r.End, start, r.Start)
	case r.End != 0:
		if r.EventTime = r.End; r.Start == 0 {
			r.TimeQuality = "no_start"
		}
	case r.Start != 0:
		r.EventTime, r.TimeQuality = r.Start, "no_end"
	default:
		return missing(end)
	}
	return nil
}
