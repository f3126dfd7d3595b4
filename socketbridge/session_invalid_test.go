package socketbridge_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

// causeOf names the cause in the error of an OnInvalidSession handler.
func causeOf(err error) string {
	for _, c := range []struct {
		err  error
		name string
	}{
		{socketbridge.ErrSessionMissing, "missing"},
		{fibersession.ErrExpired, "expired"},
		{fibersession.ErrDestroyed, "destroyed"},
		{fibersession.ErrUnavailable, "unavailable"},
	} {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return err.Error()
}

// sessionNamespaces adds routes that begin, change and end a session, and namespaces that record
// events. "/told" has an OnInvalidSession handler, "/members" has none. Both require a
// session, "/" does not.
func (s *site) sessionNamespaces(happened events) *site {
	s.app.Post("/begin", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("name", "ann"); return nil })
	s.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	s.app.Post("/set/:key/:value", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set(c.Params("key"), c.Params("value"))
		return nil
	})
	s.app.Post("/short", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).SetExpiry(300 * time.Millisecond)
		return nil
	})
	s.app.Post("/renew", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() })
	s.io.Of("/").SetMode(socketbridge.SessionNone)
	s.io.Of("/told").RequireSession().OnInvalidSession(func(sock *socketbridge.Socket, err error) {
		if e := sock.Emit("invalid", causeOf(err)); e != nil {
			happened.add("Emit in the invalid-session handler: %v", e)
		}
		_ = sock.Namespace().Emit("broadcast") // must not reach the socket
	})
	for _, name := range []string{"/told", "/members"} {
		ns := s.io.Of(name).RequireSession()
		ns.On("name", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("name")) })
		ns.OnConnection(func(sock *socketbridge.Socket) {
			happened.add("connected")
			sock.OnDisconnect(func(r socketbridge.Reason) { happened.add("%s", r) })
		})
	}
	return s
}

// member returns an agent with a stored session.
func (s *site) member() *agent {
	s.t.Helper()
	a := s.agent()
	a.post("/begin")
	return a
}

// expectRefusal checks that a client is refused because of its session, with a stable code.
func expectRefusal(t testing.TB, c *nodetest.Client, code string) {
	t.Helper()
	var e struct{ Data struct{ Code string } }
	c.MustNext(nodetest.ConnectError).Bind(t, &e)
	equal(t, "code of the refusal", e.Data.Code, code)
}

// expectInvalid checks that the invalid-session handler reaches a client, which is then
// disconnected.
func expectInvalid(t testing.TB, c *nodetest.Client, cause string) {
	t.Helper()
	equal(t, "cause from the invalid-session handler", c.MustNext("invalid").String(), `["`+cause+`"]`)
	equal(t, "disconnect reason", c.MustNext(nodetest.Disconnected).String(), `["io server disconnect"]`)
	if n := c.Waiting("broadcast"); n != 0 {
		t.Errorf("the client got %d broadcasts, want 0", n)
	}
}

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
					c := n.Connect(t, s.url+"/told", nodetest.Options{Cookie: cookie})
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
			expectInvalid(t, c.Of("/told", nil), "destroyed")
		})
		t.Run("the store fails at the handshake", func(t *testing.T) {
			a := s.member()
			flaky.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("down")}))
			expectRefusal(t, n.Dial(t, s.url+"/members", nodetest.Options{Cookie: a.cookie()}), "session_unavailable")
			expectInvalid(t, a.connect(n, "/told", nodetest.Options{}), "unavailable")
			flaky.SetPlan(nil)
		})
		if len(happened) != 0 {
			t.Fatalf("got %q, want no client without a session to be connected", <-happened)
		}

		t.Run("expires while connected", func(t *testing.T) {
			a := s.member()
			c := a.connect(n, "/told", nodetest.Options{})
			happened.expect(t, "connected")
			a.post("/short")
			expectInvalid(t, c, "expired")
			happened.expect(t, "server namespace disconnect")
		})
		t.Run("destroyed while connected", func(t *testing.T) {
			a := s.member()
			c := a.connect(n, "/told", nodetest.Options{})
			happened.expect(t, "connected")
			a.post("/logout")
			expectInvalid(t, c, "destroyed")
			happened.expect(t, "server namespace disconnect")
		})
		t.Run("the store fails for an event", func(t *testing.T) {
			a := s.member()
			c := a.connect(n, "/told", nodetest.Options{})
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
	var told events = make(chan string, 4)
	s.io.OnInvalidSession(func(_ *socketbridge.Socket, err error) { told.add("%v", err) })
	s.io.Use(func(c *socketbridge.Connect) error { return &socketbridge.ConnectError{Message: "not today"} })
	s.serve()
	var e struct{ Message string }
	n.Dial(t, s.url, nodetest.Options{}).MustNext(nodetest.ConnectError).Bind(t, &e)
	equal(t, "message of the refusal", e.Message, "not today")
	if len(told) != 0 {
		t.Errorf("an invalid-session handler was called with %q, want no call", <-told)
	}
}
