package objectstore

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// unanswered marks an error that is no answer of the store: the network, a reply that is
// cut or not what it should be, a token that could not be fetched. It may pass.
func unanswered(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return delivery.Again(err, 0)
}

// scrubbed is an error whose text has been made fit to be shown.
type scrubbed struct {
	text string
	err  error
}

func (s *scrubbed) Error() string { return s.text }
func (s *scrubbed) Unwrap() error { return s.err }

// scrub takes the queries of URLs out of an error's text: a signature or the name of an
// upload session in one lets anybody write.
func scrub(err error) error {
	var u *url.Error
	if !errors.As(err, &u) || !strings.Contains(u.URL, "?") {
		return err
	}
	base, _, _ := strings.Cut(u.URL, "?")
	return &scrubbed{strings.ReplaceAll(err.Error(), u.URL, base+"?…"), err}
}
