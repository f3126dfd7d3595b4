package socketbridge_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// newFreshSession returns a handle of a new session that is not stored.
func newFreshSession(t testing.TB, store *fibersession.Store) (h *fibersession.Handle) {
	t.Helper()
	app := fiber.New()
	var err error
	app.Get("/", func(c *fiber.Ctx) error { h, err = store.Lift(c); return err })
	if _, testErr := app.Test(httptest.NewRequest("GET", "/", nil), -1); testErr != nil || err != nil {
		t.Fatal(testErr, err)
	}
	return h
}

// An event saves a new session, with an unknown outcome, and another node destroys the session.
// The next event has no handler, although this node holds the session for new. Without another
// event, the socket is disconnected as soon as the storage answers.
func TestN12_UnconfirmedCreation_Events(t *testing.T) {
	t.Parallel()
	for _, event := range []bool{true, false} {
		t.Run(map[bool]string{true: "the next event", false: "no event"}[event], func(t *testing.T) {
			t.Parallel()
			withFakeClockAndStorage(t, fibersession.Config{}, socketbridge.Config{}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server, st *faulty.Storage) {
				ran := 0
				io.On("save", func(p *socketbridge.Packet) error { p.Session().Set("n", 1); return nil })
				io.On("read", func(p *socketbridge.Packet) error { ran++; return p.Ack() })
				h := newFreshSession(t, store)
				id := h.ID()
				p := joinAs(t, io, "/", h)
				st.SetPlan(func(c faulty.Call) faulty.Fault {
					switch c.Method {
					case "CompareAndSwap":
						return faulty.Fault{Lose: errors.New("lost")}
					case "Load":
						return faulty.Fault{Fail: errors.New("down")}
					}
					return faulty.Fault{}
				})
				p.send(`21["save"]`)
				if got := p.next(); !strings.Contains(got, "unknown_outcome") {
					t.Fatalf("got the answer %s, want unknown_outcome", got)
				}
				synctest.Wait()
				st.SetPlan(nil)
				there := fibersession.New(fibersession.Config{Storage: st, Logger: silent})
				defer func() { _ = there.Close() }()
				other, err := there.GetByID(t.Context(), id)
				if err == nil {
					err = other.Destroy(t.Context())
					other.Release()
				}
				if err != nil {
					t.Fatal(err)
				}
				if event {
					p.send(`22["read"]`)
				} else {
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if ran != 0 || !errors.Is(h.Err(), fibersession.ErrDestroyed) && !errors.Is(h.Err(), fibersession.ErrReleased) {
					t.Errorf("the handler ran %d times and the session's error is %v, want 0 and ErrDestroyed", ran, h.Err())
				}
				for ended := false; !ended; { // whether the last event gets an answer before the disconnect is open
					ended = p.next() == "1"
				}
			})
		})
	}
}
