package parse

import (
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flowbeam/flowbeam/flow"
)

const canopusLine = `{"timestamp":"2024-09-05T10:15:00Z","user_id":"user12345","client_ip":"192.168.1.5","server_ip":"203.0.113.10","download_bytes":1256789,"upload_bytes":456789,"internal_rtt":15.6,"external_rtt":75.2,"internal_loss":0.01,"external_loss":0.05}`

func decodeOne(t testing.TB, format, header, data string) (flow.Record, Outcome, error) {
	t.Helper()
	f, ok := formatNamed(format)
	if !ok {
		t.Fatalf("format %q is not registered", format)
	}
	d, err := f.New(header)
	if err != nil {
		return flow.Record{}, 0, err
	}
	r := flow.Record{Format: format}
	o, err := d.Decode(data, &r)
	return r, o, err
}

func TestCanopusMapsEveryField(t *testing.T) {
	got, _, err := decodeOne(t, "canopus", "", canopusLine)
	if err != nil {
		t.Fatal(err)
	}
	want := flow.Record{
		Format: "canopus", UserID: "user12345", CounterSemantics: "delta",
		EventTime:   flow.TimeOf(time.Date(2024, 9, 5, 10, 15, 0, 0, time.UTC)),
		Source:      flow.Endpoint{IP: flow.MustIP("192.168.1.5"), Bytes: flow.N(456789)},
		Destination: flow.Endpoint{IP: flow.MustIP("203.0.113.10"), Bytes: flow.N(1256789)},
		RTTInternal: flow.N(15_600_000), RTTExternal: flow.N(75_200_000),
		LossInternal: flow.F(0.01), LossExternal: flow.F(0.05),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCanopusReasons(t *testing.T) {
	with := func(old, new string) string {
		if !strings.Contains(canopusLine, old) {
			t.Fatalf("no %s in the sample", old)
		}
		return strings.Replace(canopusLine, old, new, 1)
	}
	for _, c := range []struct {
		name, data string
		reason     flow.Reason
		text       string
	}{
		{"a line cut in a string", canopusLine[:60], flow.ReasonSyntax, "cut off"},
		{"an array", `[1]`, flow.ReasonSyntax, "want a JSON object"},
		{"two objects", canopusLine + canopusLine, flow.ReasonSyntax, "follows"},
		{"a member twice", with(`"user_id"`, `"tenant":"a","tenant"`), flow.ReasonSyntax, "tenant"},
		{"bytes that are not UTF-8", with("user12345", "user\xff"), flow.ReasonEncoding, "UTF-8"},
		{"no timestamp", with(`"timestamp"`, `"time"`), flow.ReasonField, "timestamp: missing"},
		{"a timestamp of null", with(`"2024-09-05T10:15:00Z"`, `null`), flow.ReasonField, "timestamp: missing"},
		{"a timestamp without zone", with("10:15:00Z", "10:15:00"), flow.ReasonField, "timestamp: want an RFC 3339 time"},
		{"the 30th of February", with("2024-09-05", "2024-02-30"), flow.ReasonField, "timestamp"},
		{"a year that nanoseconds cannot hold", with("2024", "9024"), flow.ReasonValue, "timestamp"},
		{"no client", with(`"client_ip"`, `"client"`), flow.ReasonField, "client_ip: missing"},
		{"an empty server", with(`"203.0.113.10"`, `""`), flow.ReasonField, "server_ip"},
		{"an address out of range", with("192.168.1.5", "192.168.1.500"), flow.ReasonField, "client_ip"},
		{"bytes as text", with("456789", `"456789"`), flow.ReasonField, "upload_bytes: want a number"},
		{"bytes with a fraction", with("456789", "456789.0"), flow.ReasonField, "upload_bytes: want an integer"},
		{"negative bytes", with("456789", "-1"), flow.ReasonValue, "upload_bytes"},
		{"bytes beyond 63 bits", with("456789", "9223372036854775808"), flow.ReasonValue, "upload_bytes"},
		{"a negative round trip", with("15.6", "-15.6"), flow.ReasonValue, "internal_rtt"},
		{"a loss above one", with("0.05", "1.05"), flow.ReasonValue, "external_loss"},
		{"a negative loss", with("0.05", "-0.05"), flow.ReasonValue, "external_loss"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := decodeOne(t, "canopus", "", c.data)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := flow.ReasonOf(err, ""); got != c.reason || !strings.Contains(err.Error(), c.text) {
				t.Errorf("reason %q, error %q; want %q and %q", got, err, c.reason, c.text)
			}
		})
	}
}

func TestCanopusKeepsWhatItDoesNotKnow(t *testing.T) {
	line := strings.TrimSuffix(canopusLine, "}") + `,"app":"vídeo","cells":[1,2],"hops":7,"mos":4.25,"roaming":false,"nil":null,"data_center":"fra1","tenant":"acme"}`
	r, _, err := decodeOne(t, "canopus", "", line)
	if err != nil {
		t.Fatal(err)
	}
	want := []flow.Extension{
		flow.Ext("app", "vídeo"), flow.Ext("cells", "[1,2]"), flow.ExtN("hops", 7),
		{Name: "mos", Text: "4.25", Kind: flow.ExtFloat}, {Name: "roaming", Text: "false", Kind: flow.ExtBool},
	}
	if d := cmp.Diff(want, r.Extensions); d != "" {
		t.Error(d)
	}
	if r.DataCenter != "fra1" || r.Tenant != "acme" {
		t.Errorf("data center %q, tenant %q", r.DataCenter, r.Tenant)
	}
}

func TestCanopusZeroIsNotAbsent(t *testing.T) {
	r, _, err := decodeOne(t, "canopus", "", `{"timestamp":"2024-09-05T10:15:00Z","client_ip":"::","server_ip":"0.0.0.0","upload_bytes":0,"internal_loss":-0,"download_bytes":null}`)
	if err != nil {
		t.Fatal(err)
	}
	if r.Source.Bytes != flow.N(0) || r.LossInternal != flow.F(0) || math.Signbit(r.LossInternal.V) {
		t.Errorf("zeros: %v %v", r.Source.Bytes, r.LossInternal)
	}
	if r.Destination.Bytes.OK || r.RTTInternal.OK || r.LossExternal.OK || r.Source.Packets.OK {
		t.Error("what is missing or null became present")
	}
}

// canopusOracle is the record as encoding/json/v2 reads it into a struct.
type canopusOracle struct {
	Timestamp    *time.Time     `json:"timestamp"`
	UserID       *string        `json:"user_id"`
	Client       *netip.Addr    `json:"client_ip"`
	Server       *netip.Addr    `json:"server_ip"`
	Download     *int64         `json:"download_bytes"`
	Upload       *int64         `json:"upload_bytes"`
	InternalRTT  jsontext.Value `json:"internal_rtt"`
	ExternalRTT  jsontext.Value `json:"external_rtt"`
	InternalLoss *float64       `json:"internal_loss"`
	ExternalLoss *float64       `json:"external_loss"`
	DataCenter   string         `json:"data_center"`
	Tenant       string         `json:"tenant"`
	Rest         jsontext.Value `json:",embed"`
}

// record is the oracle's verdict, by other means than the decoder's.
func (o *canopusOracle) record() (r flow.Record, ok bool) {
	if o.Timestamp == nil || o.Timestamp.Unix() < -9223372036 || o.Timestamp.After(time.Unix(0, math.MaxInt64)) ||
		o.Client == nil || !o.Client.IsValid() || o.Client.Zone() != "" || o.Server == nil || !o.Server.IsValid() || o.Server.Zone() != "" {
		return r, false
	}
	r = flow.Record{Format: "canopus", CounterSemantics: "delta", EventTime: flow.Time(o.Timestamp.UnixNano()), DataCenter: o.DataCenter, Tenant: o.Tenant}
	r.Source.IP, r.Destination.IP = flow.IPOf(*o.Client), flow.IPOf(*o.Server)
	if o.UserID != nil {
		r.UserID = *o.UserID
	}
	number := func(p *int64, to *flow.Int) {
		if p != nil {
			ok, *to = ok && *p >= 0, flow.N(*p)
		}
	}
	loss := func(p *float64, to *flow.Float) {
		if p != nil {
			ok, *to = ok && *p >= 0 && *p <= 1, flow.F(math.Abs(*p))
		}
	}
	rtt := func(v jsontext.Value, to *flow.Int) {
		if v == nil || v.Kind() == 'n' {
			return
		}
		if v.Kind() != '0' {
			ok = false
			return
		}
		f, _, err := big.ParseFloat(string(v), 10, 5000, big.ToNearestEven)
		if err != nil {
			ok = false
			return
		}
		ns := f.Mul(f, big.NewFloat(1e6))
		ns.Add(ns, big.NewFloat(0.5))
		i, acc := ns.Int64()
		if f.Cmp(big.NewFloat(0.5)) < 0 || i == math.MaxInt64 && acc == big.Below {
			ok = false
		}
		*to = flow.N(i)
	}
	ok = true
	number(o.Download, &r.Destination.Bytes)
	number(o.Upload, &r.Source.Bytes)
	rtt(o.InternalRTT, &r.RTTInternal)
	rtt(o.ExternalRTT, &r.RTTExternal)
	loss(o.InternalLoss, &r.LossInternal)
	loss(o.ExternalLoss, &r.LossExternal)
	if len(o.Rest) > 0 {
		d := jsontext.NewDecoder(strings.NewReader(string(o.Rest)))
		_, _ = d.ReadToken()
		for d.PeekKind() != '}' {
			name, _ := d.ReadToken()
			m := jsonMember{name: name.String()}
			v, _ := d.ReadValue()
			m.kind, m.text = byte(v.Kind()), string(v)
			if m.kind == '"' {
				_ = json.Unmarshal(v, &m.text)
			}
			if m.kind != 'n' {
				r.Extensions = append(r.Extensions, flow.Extension{Name: m.name, Text: m.text, Kind: m.extensionKind()})
			}
		}
	}
	return r, ok
}

func FuzzCanopus(f *testing.F) {
	f.Add(canopusLine)
	for _, s := range []string{
		` { "timestamp" : "2024-09-05T10:15:00.123456789012+02:00" , "client_ip":"::ffff:1.2.3.4","server_ip":"2001:db8::1"} ` + "\n",
		`{"timestamp":"2024-09-05T10:15:00Z","client_ip":"1.2.3.4","server_ip":"1.2.3.4","a":"\u00e9\ud83d\ude00","b":{"c":[null]},"B":-0,"d":1e3}`,
		`{"timestamp":"2024-09-05T24:00:00Z","client_ip":"1.2.3.4","server_ip":"1.2.3.4"}`,
		`{"timestamp":"2024-09-05T10:15:00Z","client_ip":"fe80::1%eth0","server_ip":"1.2.3.4"}`,
		`{"timestamp":"2024-09-05T10:15:00Z","client_ip":"1.2.3.4","server_ip":"1.2.3.4","internal_rtt":1e-400,"external_rtt":9223372036854.7758075}`,
		`{"timestamp":"2024-09-05T10:15:00Z","client_ip":"1.2.3.4","server_ip":"1.2.3.4","internal_rtt":0.0000005,"upload_bytes":-0}`,
		`{"timestamp":"2024-09-05T10:15:00Z","client_ip":"1.2.3.4","server_ip":"1.2.3.4","internal_loss":1e400}`,
		`{"a":1,"a":2}`, `{"a":{"b":{"c":[1,{"d":null}],"c":1}}}`, `{"a":{"b":[],"c":{},"d":-0,"e":"é"},"f":[[{}],true],"g":{"b":{"x":{"x":1}}}}`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":{"b":1,}}`, `{"a":"` + "\x7f\xc3\xa9" + `"}`, `{"a":01}`, `{"a":1.}`, `{"a":+1}`, `{"a":tru}`, `{,}`, `{"a":1,}`, `{}`, "\ufeff{}", `{"\ud800":1}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if trim(s) == "" {
			return
		}
		got, _, err := decodeOne(t, "canopus", "", s)
		// Two decoders, one of them without the fast path, must say the same word for word.
		var fast, slow jsonObject
		if fast.fast(s) {
			if err := slow.slow(s); err != nil {
				t.Fatalf("the fast path accepts what encoding/json/v2 refuses: %v", err)
			}
			if d := cmp.Diff(slow.members, fast.members, cmp.AllowUnexported(jsonMember{})); d != "" {
				t.Fatal(d)
			}
			if d := cmp.Diff(slow.inner, fast.inner, cmp.AllowUnexported(jsonMember{}), cmpopts.EquateEmpty()); d != "" {
				t.Fatal(d)
			}
		}
		if hugeExponent(s) {
			return // the oracle would take minutes
		}
		var o canopusOracle
		want, ok := flow.Record{}, false
		oracleErr := jsonv2.Unmarshal([]byte(s), &o)
		if oracleErr == nil {
			want, ok = o.record()
		}
		if ok != (err == nil) {
			t.Fatalf("accepted %v (%v), encoding/json/v2 %v (%v)", err == nil, err, ok, oracleErr)
		}
		if ok {
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
		}
	})
}

func hugeExponent(s string) bool {
	for i := 0; i+4 < len(s); i++ {
		if s[i]|0x20 == 'e' {
			digits := 0
			for j := i + 1; j < len(s) && (s[j] >= '0' && s[j] <= '9' || s[j] == '-' || s[j] == '+'); j++ {
				digits++
			}
			if digits > 4 {
				return true
			}
		}
	}
	return false
}
