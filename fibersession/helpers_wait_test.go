package fibersession_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// patience bounds what a test waits for; it is no measure.
const patience = 20 * time.Second

// soon waits until a condition holds.
func soon(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// eventually waits until another goroutine has got as far as cond says. Not a
// clock but go test's own limit ends a wait that is in vain.
func eventually(t testing.TB, cond func() bool) {
	t.Helper()
	for !cond() {
		runtime.Gosched()
	}
}

// settled waits until a node listens to what others do to the session that it begins to watch.
func settled(t testing.TB, a *fibersession.Store, watch func()) {
	t.Helper()
	before := a.Stats().Rereads
	watch()
	soon(t, "the store is asked once the feed is on", func() bool { return a.Stats().Rereads > before })
}
