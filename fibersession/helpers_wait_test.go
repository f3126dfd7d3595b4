package fibersession_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// waitLimit is when a wait gives up. It is far above what any test needs, so that a
// loaded machine does not fail one.
const waitLimit = 20 * time.Second

// waitFor waits until cond holds. It fails the test after waitLimit.
func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(waitLimit); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out after %v waiting for: %s", waitLimit, what)
		}
	}
}

// waitForQueued waits until n calls wait for the next commit of h's session.
func waitForQueued(t testing.TB, h *fibersession.Handle, n int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d queued calls", n), func() bool { return fibersession.Queued(h) == n })
}

// waitForSubscription calls watch and waits until the store is subscribed to the changes
// of the session that it watches. The store reads the session once when it is.
func waitForSubscription(t testing.TB, s *fibersession.Store, watch func()) {
	t.Helper()
	before := s.Stats().Rereads
	watch()
	waitFor(t, "the read that follows the subscription", func() bool { return s.Stats().Rereads > before })
}
