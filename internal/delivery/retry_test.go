package delivery

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errBusy   = errors.New("busy")
	errFinal  = errors.New("bad request")
	errDenied = errors.New("who are you")
	quick     = Policy{Base: 100 * time.Millisecond, Cap: 2 * time.Second, Deadline: time.Minute, Auth: 20 * time.Second}
)

func TestDoTriesAgainWhatMayPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		again, err := quick.Do(t.Context(), "bulk", func(context.Context) error {
			calls++
			switch {
			case calls < 3:
				return Again(errBusy, 0)
			case calls < 5:
				return Denied(errDenied)
			}
			return nil
		})
		if err != nil || again != 4 || calls != 5 {
			t.Errorf("%d repetitions, %d calls: %v", again, calls, err)
		}
	})
}

func TestDoDoesNotRepeatWhatIsFinal(t *testing.T) {
	if again, err := quick.Do(t.Context(), "bulk", func(context.Context) error { return errFinal }); again != 0 || !errors.Is(err, errFinal) {
		t.Errorf("%d repetitions: %v", again, err)
	}
}

func TestDoGivesUpAtTheDeadline(t *testing.T) {
	for _, c := range []struct {
		err   error
		limit time.Duration
	}{{Again(errBusy, 0), quick.Deadline}, {Denied(errDenied), quick.Auth}} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			again, err := quick.Do(t.Context(), "bulk", func(context.Context) error { return c.err })
			took := time.Since(begun)
			if again < 5 || !errors.Is(err, errors.Unwrap(c.err)) || took > c.limit || took < c.limit-quick.Cap || !strings.Contains(err.Error(), "bulk") {
				t.Errorf("%d repetitions in %v: %v", again, took, err)
			}
		})
	}
}

// A last try that the deadline cut off does not hide why the tries before it failed.
func TestDoTellsTheReasonBeforeTheTimeWasUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := quick.Do(t.Context(), "bulk", func(ctx context.Context) error {
			if end, _ := ctx.Deadline(); time.Until(end) > 30*time.Second {
				return Again(errBusy, 0)
			}
			<-ctx.Done()
			return Again(ctx.Err(), 0)
		})
		if !errors.Is(err, errBusy) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "busy") {
			t.Error(err)
		}
	})
}

func TestDoWaitsAsLongAsTheServerAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, calls := time.Now(), 0
		_, err := quick.Do(t.Context(), "bulk", func(context.Context) error {
			if calls++; calls == 1 {
				return Again(errBusy, 10*time.Second)
			}
			return nil
		})
		if took := time.Since(begun); err != nil || took < 10*time.Second {
			t.Errorf("came back after %v: %v", took, err)
		}
	})
}

func TestDoEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		begun := time.Now()
		_, err := quick.Do(ctx, "bulk", func(context.Context) error { return Again(errBusy, 0) })
		if took := time.Since(begun); took != 3*time.Second || !errors.Is(err, context.Canceled) || !errors.Is(err, errBusy) {
			t.Errorf("ended after %v: %v", took, err)
		}
	})
}

func TestWaitsAreSpreadAndBounded(t *testing.T) {
	for n, bound := range map[int]time.Duration{0: quick.Base, 3: 8 * quick.Base, 10: quick.Cap, 62: quick.Cap, 1000: quick.Cap} {
		least, most := bound, time.Duration(0)
		for range 2000 {
			w := quick.wait(n)
			least, most = min(least, w), max(most, w)
		}
		if least <= 0 || least > bound/10 || most > bound || most < bound*9/10 {
			t.Errorf("repetition %d: waits between %v and %v, want 0 to %v", n, least, most, bound)
		}
	}
}

func TestStatus(t *testing.T) {
	h := http.Header{"Retry-After": {"7"}}
	for status, want := range map[int]againError{429: {after: 7 * time.Second}, 503: {after: 7 * time.Second}, 401: {auth: true}, 403: {auth: true}} {
		var a *againError
		if err := Status(status, h, errBusy); !errors.As(err, &a) || a.after != want.after || a.auth != want.auth {
			t.Errorf("%d: %+v", status, a)
		}
	}
	for _, status := range []int{400, 404, 409, 413} {
		if err := Status(status, h, errFinal); err != errFinal {
			t.Errorf("%d: %v", status, err)
		}
	}
	date := http.Header{"Retry-After": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}
	if d := RetryAfter(date); d < 50*time.Minute || d > time.Hour {
		t.Errorf("by date: %v", d)
	}
	for _, v := range []string{"", "-1", "soon", "Mon, 02 Jan 2006 15:04:05 GMT"} {
		if d := RetryAfter(http.Header{"Retry-After": {v}}); d != 0 {
			t.Errorf("%q: %v", v, d)
		}
	}
}
