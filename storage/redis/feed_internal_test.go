package redis

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// A key is removed and added again before the server has confirmed the first
// subscription. That confirmation must neither end the second Add, which the server may
// still have to subscribe, nor turn the second confirmation into a Gap.
func TestLateConfirmationsDoNotCount(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		sent  int  // SUBSCRIBE commands without a confirmation
		dirty bool // another one is to be sent
	}{
		"both sent":          {sent: 2},
		"the second is due":  {sent: 1, dirty: true},
		"sent thrice":        {sent: 3},
		"the third is due":   {sent: 2, dirty: true},
		"sent once, no more": {sent: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sub := &subscription{live: make(chan struct{})}
			w := &watch{subscriptions: map[string]*subscription{"c": sub}, unconfirmed: map[string]int{"c": tt.sent}, dirty: map[string]struct{}{}}
			left := tt.sent
			if tt.dirty {
				w.dirty["c"] = struct{}{}
				left++
			}
			for ; left > 1; left-- {
				if w.confirm("c") {
					t.Fatal("a late confirmation is a Gap")
				}
				select {
				case <-sub.live:
					t.Fatal("a late confirmation ended Add")
				default:
				}
				if tt.dirty && left == 2 { // flush sends the last one
					delete(w.dirty, "c")
					w.unconfirmed["c"]++
				}
			}
			if w.confirm("c") {
				t.Error("the last confirmation is a Gap")
			}
			<-sub.live
			if len(w.unconfirmed) > 0 {
				t.Errorf("unconfirmed = %v, want none", w.unconfirmed)
			}
			if !w.confirm("c") {
				t.Error("a confirmation without a SUBSCRIBE, from a connection that go-redis has replaced, is no Gap")
			}
		})
	}
}

// While a message is handled, the reply to a ping waits behind it: the connection is not
// dead.
func TestSlowHandlerIsNotADeadConnection(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Addrs: []string{redistest.Start(t).Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, handling := range []bool{true, false} {
		w := &watch{s: s, ctx: t.Context(), wake: make(chan struct{}, 1), subscriptions: map[string]*subscription{"c": {live: make(chan struct{})}}}
		w.ps = s.client.Subscribe(t.Context(), "c")
		w.reading.Store(!handling)
		for range 2 * ticksPerSilence { // the replies stay unread
			w.ping()
		}
		if dead := w.ps.Ping(t.Context()) != nil; dead == handling {
			t.Errorf("handling a message: %t, found dead: %t", handling, dead)
		}
		_ = w.ps.Close()
	}
}
