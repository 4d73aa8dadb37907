package parse

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/avrodata"
)

// string reads text: a string is a part of the message.
func (d *canopusAvro) string(rd *avrodata.Reader, name string, n *avrodata.Node) (string, error) {
	if n.Kind != avrodata.String {
		d.text, _ = rd.AppendText(d.text[:0], n)
		return d.ext.String(d.text), nil
	}
	s := rd.Bytes()
	if !utf8.ValidString(s) {
		return "", flow.Reject(flow.ReasonEncoding, "%s: not UTF-8", name)
	}
	return s, nil
}

// overrides reads what the source says too, where the record says it.
func (d *canopusAvro) overrides(rd *avrodata.Reader, name string, n *avrodata.Node, to *string) error {
	s, err := d.string(rd, name, n)
	if s != "" {
		*to = s
	}
	return err
}

func (d *canopusAvro) address(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.IP, error) {
	switch n.Kind {
	case avrodata.String:
		return address(name, rd.Bytes())
	case avrodata.Fixed:
		return rawAddress(name, rd.Take(n.Size))
	}
	return rawAddress(name, rd.Bytes())
}

// number reads a value as the text that JSON has of it, valid until the next call.
func (d *canopusAvro) number(rd *avrodata.Reader, n *avrodata.Node) string {
	switch n.Kind {
	case avrodata.Int, avrodata.Long:
		d.text = strconv.AppendInt(d.text[:0], rd.Integer(n), 10)
	case avrodata.Float:
		d.text = strconv.AppendFloat(d.text[:0], float64(rd.Float()), 'f', -1, 32)
	case avrodata.Double:
		d.text = strconv.AppendFloat(d.text[:0], rd.Double(), 'f', -1, 64)
	case avrodata.String:
		return rd.Bytes()
	default: // a decimal
		d.text, _ = rd.AppendText(d.text[:0], n)
	}
	return view(d.text)
}

func (d *canopusAvro) count(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.Int, error) {
	if n.Kind == avrodata.Long || n.Kind == avrodata.Int {
		v := rd.Integer(n)
		if v >= 0 {
			return flow.N(v), nil
		}
		return count(name, strconv.FormatInt(v, 10))
	}
	text := d.number(rd, n)
	if n.Logical == avrodata.Decimal { // 3.00 is an integer
		if whole, fraction, ok := strings.Cut(text, "."); ok && strings.Trim(fraction, "0") == "" {
			text = whole
		}
	}
	return count(name, text)
}

// maxExact bounds the numbers for which a double's product with a million is nearer to the
// decimal's than a hundredth.
const maxExact = 1 << 43

func (d *canopusAvro) roundTrip(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.Int, error) {
	scale := milliseconds
	switch {
	case n.Logical == avrodata.TimeMicros:
		scale = microseconds
	case n.Kind == avrodata.Double:
		v := rd.Double()
		// What a double says is the shortest decimal that reads as it. Its product with a million is so
		// near to the double's that both have the same nearest integer, but near to a half.
		ns := v * 1e6
		if whole := math.Floor(ns + 0.5); v >= 0 && ns < maxExact && math.Abs(ns-whole) < 0.49 {
			return flow.N(int64(whole)), nil
		}
		return roundTrip(name, strconv.FormatFloat(v, 'f', -1, 64), scale)
	}
	return roundTrip(name, d.number(rd, n), scale)
}

func roundTrip(name, text string, scale int) (flow.Int, error) {
	ns, err := nanoseconds(name, text, scale)
	if err != nil {
		return flow.Int{}, err
	}
	return flow.N(ns), nil
}

func (d *canopusAvro) ratio(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.Float, error) {
	if n.Kind == avrodata.Double {
		v := rd.Double()
		if f, ok := ratioOf(v); ok {
			return f, nil
		}
		return ratio(name, strconv.FormatFloat(v, 'g', -1, 64))
	}
	return ratio(name, d.number(rd, n))
}

// canopusAvroTime reads the event time.
func canopusAvroTime(rd *avrodata.Reader, name string, n *avrodata.Node) (flow.Time, error) {
	if n.Kind == avrodata.String {
		return timestamp(name, rd.Bytes())
	}
	if n.Kind == avrodata.Float || n.Kind == avrodata.Double {
		var v float64
		bits := 64
		if n.Kind == avrodata.Float {
			v, bits = float64(rd.Float()), 32
		} else {
			v = rd.Double()
		}
		text := strconv.FormatFloat(v, 'f', -1, bits)
		scale, ok := epochScale(v)
		if !ok {
			return 0, noEpoch(name, text)
		}
		ns, err := nanoseconds(name, text, scale)
		return flow.Time(ns), err
	}
	v := rd.Integer(n)
	unit := int64(1)
	switch n.Logical {
	case avrodata.Date:
		unit = 86400 * 1e9
	case avrodata.TimestampMillis:
		unit = 1e6
	case avrodata.TimestampMicros:
		unit = 1e3
	case avrodata.TimestampNanos:
	default:
		scale, ok := epochScale(float64(v))
		if !ok {
			return 0, noEpoch(name, strconv.FormatInt(v, 10))
		}
		unit = int64(pow10[scale])
	}
	if v > math.MaxInt64/unit || v < math.MinInt64/unit {
		return 0, beyondYears(name, strconv.FormatInt(v, 10))
	}
	return flow.Time(v * unit), nil
}

// epochScale tells the unit of a number since the epoch, as the scale of [nanoseconds], where it is a time
// of the years 2000 to 2099 in one: in no other is it one as well.
func epochScale(v float64) (scale int, ok bool) {
	const from, to = 946_684_800, 4_102_444_800 // seconds
	unit := 1.0
	for scale = seconds; scale >= 0; scale -= 3 {
		if v >= from*unit && v < to*unit {
			return scale, true
		}
		unit *= 1000
	}
	return 0, false
}

func noEpoch(name, text string) error {
	return flow.Reject(flow.ReasonValue, "%s: %s is no time of the years 2000 to 2099, in seconds, milliseconds, microseconds or nanoseconds", name, quoted(text))
}
