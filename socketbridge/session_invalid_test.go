package socketbridge_test

import (
	"errors"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

func TestC5_InvalidSessionHandler(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		base, err := storage.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		flaky := faulty.New(base, nil)
		t.Cleanup(func() { _ = flaky.Close() })
		happened := make(events, 64)
		s := newSite(t, options{sessions: fibersession.Config{Storage: flaky}}).sessionNamespaces(happened).serve()

		t.Run("missing", func(t *testing.T) {
			for name, cookie := range map[string]string{"no cookie": "", "never issued": "session=0123456789012345678901234567890123456789012"} {
				t.Run(name, func(t *testing.T) {
					expectRefusal(t, n.Dial(t, s.url+"/members", nodetest.Options{Cookie: cookie}), "session_missing")
					c := n.Connect(t, s.url+"/notified", nodetest.Options{Cookie: cookie})
					c.Emit("name") // must not be handled
					expectInvalid(t, c, "missing")
					n.Connect(t, s.url, nodetest.Options{Cookie: cookie}) // does not require a session
				})
			}
		})
		t.Run("ended before it joins", func(t *testing.T) {
			a := s.member()
			c := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}}) // a poll would fail when the session ends
			a.post("/logout")
			expectRefusal(t, c.DialOf("/members", nil), "session_gone")
			expectInvalid(t, c.Of("/notified", nil), "destroyed")
		})
		t.Run("the store fails at the handshake", func(t *testing.T) {
			a := s.member()
			flaky.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("down")}))
			expectRefusal(t, n.Dial(t, s.url+"/members", nodetest.Options{Cookie: a.cookie()}), "session_unavailable")
			expectInvalid(t, a.connect(n, "/notified", nodetest.Options{}), "unavailable")
			flaky.SetPlan(nil)
		})
		if len(happened) != 0 {
			t.Fatalf("got %q, want no client without a session to be connected", <-happened)
		}

		t.Run("expires while connected", func(t *testing.T) {
			a := s.member()
			c := a.connect(n, "/notified", nodetest.Options{})
			happened.expect(t, "connected")
			a.post("/short")
			expectInvalid(t, c, "expired")
			happened.expect(t, "server namespace disconnect")
		})
		t.Run("destroyed while connected", func(t *testing.T) {
			a := s.member()
			c := a.connect(n, "/notified", nodetest.Options{})
			happened.expect(t, "connected")
			a.post("/logout")
			expectInvalid(t, c, "destroyed")
			happened.expect(t, "server namespace disconnect")
		})
		t.Run("the store fails for an event", func(t *testing.T) {
			a := s.member()
			c := a.connect(n, "/notified", nodetest.Options{})
			happened.expect(t, "connected")
			flaky.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("down")}))
			equal(t, "answer to the event", call(t, c, "name"), `{"error":{"code":"session_unavailable","message":"the session store is unavailable"}}`)
			equal(t, "cause from the invalid-session handler", c.MustNext("invalid").String(), `["unavailable"]`)
			flaky.SetPlan(nil)
			equal(t, "answer after the store recovered", call(t, c, "name"), `"ann"`)
		})
	})
}

// The error of a connect middleware is sent unchanged and does not call invalid-session handlers.
func TestInvalidSession_ErrorOfConnectMiddleware(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	var calls events = make(chan string, 4)
	s.io.OnInvalidSession(func(_ *socketbridge.Socket, err error) { calls.add("%v", err) })
	s.io.Use(func(c *socketbridge.Connect) error { return &socketbridge.ConnectError{Message: "not today"} })
	s.serve()
	var e struct{ Message string }
	n.Dial(t, s.url, nodetest.Options{}).MustNext(nodetest.ConnectError).Bind(t, &e)
	equal(t, "message of the refusal", e.Message, "not today")
	if len(calls) != 0 {
		t.Errorf("an invalid-session handler was called with %q, want no call", <-calls)
	}
}
