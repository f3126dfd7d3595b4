package socketbridge_test

import (
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// startBackground starts goroutines that the process starts on first use and never ends, so
// that they do not belong to the bubble of a test.
var startBackground = sync.OnceFunc(func() {
	st := memory.New()
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error { return nil })
	_, err := app.Test(httptest.NewRequest("GET", "/", nil))
	if err = errors.Join(err, st.Close()); err != nil {
		panic(err)
	}
})

// withFakeClock runs a test of a server and its sessions on a fake clock.
func withFakeClock(t *testing.T, sessions fibersession.Config, bridge socketbridge.Config, test func(t *testing.T, store *fibersession.Store, io *socketbridge.Server)) {
	t.Helper()
	withFakeClockAndStorage(t, sessions, bridge, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server, _ *faulty.Storage) {
		test(t, store, io)
	})
}

// withFakeClockAndStorage is withFakeClock with access to the storage, which can be made to fail.
func withFakeClockAndStorage(t *testing.T, sessions fibersession.Config, bridge socketbridge.Config, test func(t *testing.T, store *fibersession.Store, io *socketbridge.Server, st *faulty.Storage)) {
	t.Helper()
	startBackground()
	synctest.Test(t, func(t *testing.T) {
		st := faulty.New(memory.New(), nil)
		t.Cleanup(func() { _ = st.Close() })
		sessions.Storage, sessions.Logger = st, silent
		store := fibersession.New(sessions)
		t.Cleanup(func() {
			if stats := store.Stats(); stats.Handles != 0 || stats.States != 0 || stats.ExpiryTimers != 0 {
				t.Errorf("left over: %+v, want no handles, states and deadlines", stats)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		bridge.Sessions = store
		test(t, store, newServer(t, bridge), st)
	})
}
