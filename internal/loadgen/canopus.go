package loadgen

import (
	"strconv"
	"time"
)

// appendCanopus writes a subscriber probe's record: time in milliseconds, client to
// server is upload.
func appendCanopus(b []byte, e *event) ([]byte, sums) {
	ms := e.time - e.time%int64(time.Millisecond)
	b = append(b, `{"timestamp":"`...)
	b = appendMillis(b, ms)
	b = append(b, `","user_id":"`...)
	if !e.r.percent(emptyUserPercent) {
		b = append(b, "user"...)
		b = strconv.AppendUint(b, 10_000+37*e.user, 10)
	}
	b = append(b, `","client_ip":"`...)
	b = e.client.Append(b)
	b = append(b, `","server_ip":"`...)
	b = e.server.Append(b)
	b = append(b, `","download_bytes":`...)
	b = strconv.AppendUint(b, e.down, 10)
	b = append(b, `,"upload_bytes":`...)
	b = strconv.AppendUint(b, e.up, 10)
	b = append(b, `,"internal_rtt":`...)
	b = appendFraction(b, e.r.between(200, 6_000), 2)
	b = append(b, `,"external_rtt":`...)
	b = appendFraction(b, e.r.between(300, 30_000), 2)
	b = append(b, `,"internal_loss":`...)
	b = appendFraction(b, e.r.n(300), 4)
	b = append(b, `,"external_loss":`...)
	b = appendFraction(b, e.r.n(700), 4)
	b = append(b, '}')
	return b, sums{eventTime: ms, sourceBytes: int64(e.up), destBytes: int64(e.down)}
}

// appendMillis appends ns since the epoch as RFC 3339 in UTC with milliseconds. It
// counts the civil date itself (Hinnant, "chrono-compatible low-level date algorithms"):
// time.Time's formatting would be the generator's dearest part.
func appendMillis(b []byte, ns int64) []byte {
	ms := ns / int64(time.Millisecond)
	sec, ms := ms/1000, ms%1000
	day, sec := sec/86400, sec%86400
	z := day + 719468 // days since 0000-03-01
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d, m, y := doy-(153*mp+2)/5+1, mp+3, yoe+era*400
	if m > 12 {
		m, y = m-12, y+1
	}
	b = appendPadded(b, uint64(y), 4)
	b = append(b, '-')
	b = appendPadded(b, uint64(m), 2)
	b = append(b, '-')
	b = appendPadded(b, uint64(d), 2)
	b = append(b, 'T')
	b = appendPadded(b, uint64(sec/3600), 2)
	b = append(b, ':')
	b = appendPadded(b, uint64(sec/60%60), 2)
	b = append(b, ':')
	b = appendPadded(b, uint64(sec%60), 2)
	b = append(b, '.')
	b = appendPadded(b, uint64(ms), 3)
	return append(b, 'Z')
}
