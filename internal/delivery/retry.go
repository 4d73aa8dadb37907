// Package delivery is what the sinks to servers share: how long they try, what they count,
// and what they measure.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Policy says how a request that failed is tried again: waits with full jitter, that is
// anything between nothing and a bound that doubles from Base to Cap, so that workers
// which failed together do not come back together.
//
// Source: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter
type Policy struct {
	Base     time.Duration // bound of the first wait
	Cap      time.Duration // bound of every wait
	Deadline time.Duration // of all tries of a request; the bundle fails then, and the runner retries it
	Auth     time.Duration // for how long refused credentials are tried: they may be about to be renewed
}

// DefaultPolicy is for servers that others use too.
var DefaultPolicy = Policy{Base: 200 * time.Millisecond, Cap: 30 * time.Second, Deadline: 5 * time.Minute, Auth: 2 * time.Minute}

// Check says what is wrong with a policy.
func (p Policy) Check() error {
	if p.Base <= 0 || p.Cap < p.Base || p.Deadline <= 0 || p.Auth < 0 {
		return fmt.Errorf("retries: want 0 < base <= cap and a positive deadline, have base %v, cap %v, deadline %v", p.Base, p.Cap, p.Deadline)
	}
	return nil
}

// Again marks an error that may not come again: the server is busy or was not reached.
// after is how long it asked to be left alone, or zero.
func Again(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &againError{err: err, after: after}
}

// Denied marks an error of credentials. It is tried again for Policy.Auth and makes no
// dead letter: the record is not at fault.
func Denied(err error) error {
	if err == nil {
		return nil
	}
	return &againError{err: err, auth: true}
}

type againError struct {
	err   error
	after time.Duration
	auth  bool
}

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// Do calls try until it succeeds, its error is neither [Again] nor [Denied], the time is
// up or the context ends. what names the request in the error. It returns how often it
// tried again.
func (p Policy) Do(ctx context.Context, what string, try func(context.Context) error) (again int, err error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, p.Deadline, fmt.Errorf("no success within %v", p.Deadline))
	defer cancel()
	var told error // what the errors of the last tries say
	for {
		err := try(ctx)
		var a *againError
		if err == nil || !errors.As(err, &a) {
			return again, err
		}
		told = both(told, a.err)
		limit := p.Deadline
		if a.auth {
			limit = min(limit, p.Auth)
		}
		wait := max(a.after, p.wait(again))
		if cause := context.Cause(ctx); cause != nil {
			return again, fmt.Errorf("%s: %w after %d tries: %w", what, cause, again+1, told)
		}
		if time.Since(begun)+wait > limit {
			return again, fmt.Errorf("%s: gave up after %d tries in %v: %w", what, again+1, time.Since(begun).Round(time.Millisecond), told)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return again, fmt.Errorf("%s: %w after %d tries: %w", what, context.Cause(ctx), again+1, told)
		}
		again++
	}
}

// both is the error of the last try and, where that one says something else, of the try
// before: the end of the time often cuts a request off, which says nothing of the reason
// why all tries before it failed.
func both(before, last error) error {
	if b, ok := before.(*bothError); ok {
		before = b.last
	}
	if before == nil || before.Error() == last.Error() {
		return last
	}
	return &bothError{before: before, last: last}
}

type bothError struct{ before, last error }

func (e *bothError) Error() string   { return fmt.Sprintf("%v (the try before: %v)", e.last, e.before) }
func (e *bothError) Unwrap() []error { return []error{e.last, e.before} }

// wait is the pause before the nth repetition.
func (p Policy) wait(n int) time.Duration {
	bound := p.Cap
	if n < 32 {
		if b := p.Base << n; b > 0 && b < bound { // it may overflow
			bound = b
		}
	}
	return rand.N(bound) + 1
}

// RetryAfter is what a reply's Retry-After header asks for, in seconds or as a date; zero
// where it has none that can be read.
//
// Source: RFC 9110, section 10.2.3
func RetryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.Atoi(v); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// Status marks the error of an HTTP reply by its status: 408, 429 and 5xx come again, 401
// and 403 are credentials, what is left is for good.
func Status(status int, h http.Header, err error) error {
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return Again(err, RetryAfter(h))
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Denied(err)
	}
	return err
}
