package socketbridge_test

import (
	"testing"
	"time"
)

// waitTimeout bounds every wait for a condition.
const waitTimeout = 30 * time.Second

// waitFor waits until done returns true, at most waitTimeout. what names the condition in
// the failure.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !poll(done) {
		t.Fatalf("waited %v in vain for %s", waitTimeout, what)
	}
}

// waitForNil waits until check returns nil, at most waitTimeout. It fails with the last
// error of check.
func waitForNil(t testing.TB, check func() error) {
	t.Helper()
	var err error
	if !poll(func() bool { err = check(); return err == nil }) {
		t.Fatalf("waited %v in vain: %v", waitTimeout, err)
	}
}

// poll calls done every 2 ms until it returns true, and reports whether it did within
// waitTimeout.
func poll(done func() bool) bool {
	deadline := time.After(waitTimeout)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			return false
		case <-tick.C:
		}
	}
	return true
}
