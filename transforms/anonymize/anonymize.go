// Package anonymize replaces addresses by others such that prefixes stay prefixes:
// networks can still be counted and grouped, hosts can't be named.
package anonymize

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flowbeam/flowbeam/flow"
)

// Option changes a Step.
type Option func(*step) error

// MAC removes the hardware addresses of both endpoints too. They stay by default.
func MAC() Option {
	return func(s *step) error { s.MAC = true; return nil }
}

// Exporter maps the exporter's address too. It stays by default: it names one's own device.
func Exporter() Option {
	return func(s *step) error { s.Exporter = true; return nil }
}

// Step returns a Step that maps the addresses of a record by [Cryptopan]. It belongs
// behind every Step that looks addresses up, GeoIP and prefix tables above all.
//
//   - IP and NATIP of both endpoints are mapped, the exporter's by option.
//   - Domain, and an extension whose whole text is an address, are mapped likewise; other
//     text is not searched for addresses.
//   - CommunityID is computed anew from the mapped addresses, so that observations of one
//     conversation still share it: the old one could be tried against all addresses.
//   - Original is removed.
//   - ID and Position stay: dedupe and replay need them.
//
// Dead letters and the raw backup hold records as they came, before this Step.
//
// key is a reference, file:PATH or env:NAME, that is read on the workers once in a
// process; the key itself is never part of the pipeline, a log or an error. It is 32
// random bytes, as they are, in hexadecimal or in base64, and has to be the same on all
// workers. A key that is absent or bad fails the bundle, and the runner tries again.
// Results depend on key and record alone, so a retry gives the same.
func Step(key string, opts ...Option) flow.Step {
	if err := checkReference(key); err != nil {
		panic("anonymize.Step: " + err.Error())
	}
	s := &step{Key: key}
	for _, opt := range opts {
		if err := opt(s); err != nil {
			panic(fmt.Sprintf("anonymize.Step: invalid option: %v", err))
		}
	}
	return s
}

func init() { flow.RegisterStep("anonymize", new(step)) }

type step struct {
	Key           string // the reference
	MAC, Exporter bool

	pan *Cryptopan
}

func (s *step) Setup(context.Context) error {
	key, err := loadKey(s.Key)
	if err != nil {
		return fmt.Errorf("anonymize: %w", err)
	}
	s.pan, err = NewCryptopan(key)
	return err
}

func (s *step) Process(r *flow.Record) (bool, error) {
	s.endpoint(&r.Source)
	s.endpoint(&r.Destination)
	if s.Exporter {
		r.Exporter.IP = s.pan.IP(r.Exporter.IP)
		r.Exporter.Name = s.text(r.Exporter.Name)
	}
	if r.CommunityID != "" {
		r.CommunityID = ""
		r.SetCommunityID()
	}
	s.extensions(r)
	r.Original = ""
	return true, nil
}

func (s *step) endpoint(e *flow.Endpoint) {
	e.IP, e.NATIP = s.pan.IP(e.IP), s.pan.IP(e.NATIP)
	e.Domain = s.text(e.Domain)
	if s.MAC {
		e.MAC = ""
	}
}

// extensions copies the list before it changes it: the batch that the record came in has
// the same one.
func (s *step) extensions(r *flow.Record) {
	copied := false
	for i := range r.Extensions {
		old := r.Extensions[i].Text
		text := s.text(old)
		if text == old {
			continue
		}
		if !copied {
			r.Extensions, copied = slices.Clone(r.Extensions), true
		}
		r.Extensions[i].Text = text
	}
}

// text maps text that is an address and returns any other as it is.
func (s *step) text(t string) string {
	if !looksLikeAddress(t) {
		return t
	}
	a, err := netip.ParseAddr(t)
	if err != nil {
		return t
	}
	return s.pan.IP(flow.IPOf(a)).String()
}

// looksLikeAddress spares other text the parse, whose error allocates.
func looksLikeAddress(t string) bool {
	if len(t) < len("::") || len(t) > 64 {
		return false
	}
	dots, colons := 0, 0
	for i := range len(t) {
		switch c := t[i]; {
		case c == '.':
			dots++
		case c == ':':
			colons++
		case c == '%' && colons > 1: // a zone follows
			return true
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return dots == 3 || colons > 1
}
