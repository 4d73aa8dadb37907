package main

import (
	"strings"
	"testing"
)

// canopusSection has the trials of one line.
func canopusSection(t *testing.T, line string) *section {
	t.Helper()
	trials, err := jsonTrials([][]byte{[]byte(line)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &section{title: "canopus", parse: "canopus", trials: trials}
}

const canopusLine = `{"timestamp":"2026-01-15T12:00:00Z","client_ip":"10.1.0.5","server_ip":"203.0.113.10","upload_bytes":200,"hops":3}`

func TestTrialsSeeWhatAFieldFeeds(t *testing.T) {
	s := canopusSection(t, canopusLine)
	if err := s.try(); err != nil {
		t.Fatal(err)
	}
	e := s.effects["upload_bytes"]
	if len(e.columns) != 1 || !e.columns["source_bytes"] || len(e.extensions) != 0 || e.needed != 0 || e.free != 1 || !e.id {
		t.Errorf("upload_bytes: %+v", e)
	}
	e = s.effects["client_ip"]
	if len(e.columns) != 1 || !e.columns["source_ip"] || e.needed != 1 || e.free != 0 {
		t.Errorf("client_ip: %+v", e)
	}
	e = s.effects["hops"]
	if len(e.columns) != 0 || len(e.extensions) != 1 || e.ownExtension("hops", "") != "hops" {
		t.Errorf("hops: %+v", e)
	}
}

// Both lies are caught: that nothing is lost, and that something is dropped.
func TestReasonsAreHeldToWhatWasSeen(t *testing.T) {
	idle := func(s *section, field string) { // a field whose other value is the same
		for i := range s.trials {
			if s.trials[i].field == field {
				s.trials[i].changed = []input{s.trials[i].base}
			}
		}
	}
	for what, c := range map[string]struct {
		change func(s *section)
		want   string // of the error
	}{
		"a field is lost":                   {func(s *section) { idle(s, "hops") }, "hops changes nothing, and no reason is given"},
		"a field is lost, with its reason":  {func(s *section) { idle(s, "hops"); s.reasons = map[string]string{"hops": "x"} }, ""},
		"a reason of what is not dropped":   {func(s *section) { s.reasons = map[string]string{"hops": "x"} }, "hops changes [] [hops], and the reason"},
		"a reason of what is not there":     {func(s *section) { s.reasons = map[string]string{"hop": "x"} }, "a reason is given for hop, which no sample has"},
		"lost in one of two samples":        {lostInOne, "upload_bytes changes nothing in one of the samples"},
		"the same, with its reason":         {func(s *section) { lostInOne(s); s.partly = map[string]string{"upload_bytes": "x"} }, ""},
		"such a reason where none is lost":  {func(s *section) { s.partly = map[string]string{"upload_bytes": "x"} }, "upload_bytes changes something in each sample"},
		"no other value":                    {func(s *section) { s.trials[4].changed = nil }, "no other value of hops is known"},
		"a sample that is no record":        {func(s *section) { s.trials[0].base.data = []byte("{}") }, "is no record"},
		"an unknown field that is not kept": {func(s *section) { s.other = &trial{field: "y", base: s.trials[0].base, changed: s.trials[0].changed} }, "is no extension of its name"},
	} {
		s := canopusSection(t, canopusLine)
		c.change(s)
		err := s.try()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

func lostInOne(s *section) {
	for i := range s.trials {
		if s.trials[i].field == "upload_bytes" {
			t := s.trials[i]
			t.changed = []input{t.base}
			s.trials = append(s.trials, t)
			return
		}
	}
}

func TestAnotherValueThatIsRefusedIsTold(t *testing.T) {
	s := canopusSection(t, canopusLine)
	for i := range s.trials {
		if s.trials[i].field == "server_ip" {
			s.trials[i].changed = []input{{data: []byte(strings.Replace(canopusLine, "203.0.113.10", "x", 1))}}
		}
	}
	if err := s.try(); err != nil || !s.effects["server_ip"].refused {
		t.Errorf("%v %+v", err, s.effects["server_ip"])
	}
}

func TestZeroIsAbsentOnlyWhereItAlwaysIs(t *testing.T) {
	tried := func(lines ...string) *section {
		var data [][]byte
		for _, l := range lines {
			data = append(data, []byte(l))
		}
		trials, err := jsonTrials(data, map[string][]string{"ip_proto": {"udp", "tcp"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &section{title: "pmacct", parse: "pmacct", trials: trials}
		if err := s.try(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	const udp = `{"ip_src":"10.0.0.1","ip_proto":"udp","vlan":10,"tcp_flags":16,"packets":1,"stamp_inserted":1768478400}`
	tcp := strings.Replace(udp, "udp", "tcp", 1)
	for what, c := range map[string]struct {
		s    *section
		note bool
	}{"of UDP": {tried(udp), true}, "of TCP as well": {tried(udp, tcp), false}} {
		if got := strings.Contains(strings.Join(c.s.effects["tcp_flags"].notes(), ";"), "0 is absent"); got != c.note {
			t.Errorf("%s: tcp_flags %v", what, got)
		}
		if !strings.Contains(strings.Join(c.s.effects["vlan"].notes(), ";"), "0 is absent") {
			t.Errorf("%s: vlan", what)
		}
	}
}
