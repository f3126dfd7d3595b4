package socketbridge_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

func TestA1_OneLineSharesTheSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).counter().serve() // Config.Sessions is the one line
	a := s.agent()
	for want := range 3 {
		equal(t, "POST /incr", a.post("/incr"), fmt.Sprint(want+1))
	}
	equal(t, "count on the socket", call(t, a.connect(n, "/", nodetest.Options{}), "count"), "3")
	if got := s.agent().get("/count"); got != "0" {
		t.Errorf("count in another browser: got %s, want 0", got)
	}
}

func TestA2_SessionFromTheHandshakeOn(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	seen := make(events, 1)
	s := newSite(t, options{}).counter()
	s.io.OnConnection(func(sock *socketbridge.Socket) {
		seen.add("%s %v %v", sock.Session().ID(), sock.Session().Get("count"), sock.Session().Fresh())
	})
	s.serve()
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			a := s.agent()
			a.post("/incr")
			c := a.connect(n, "/", o)
			seen.expect(t, a.sessionID()+" 1 false")
			equal(t, "over the socket", call(t, c, "incr"), "2")
			equal(t, "over HTTP", a.post("/incr"), "3")
			c.Close()
		})
	}
}

// A browser without a session gets one from its first handshake. The cookie comes with
// the handshake's response and is valid for HTTP requests too.
func TestA3_LoginBySocketBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{})
	s.app.Get("/who", func(c *fiber.Ctx) error {
		return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
	})
	s.io.On("login", func(p *socketbridge.Packet) error {
		p.Session().Set("user", "ann")
		return p.Ack(p.Session().Fresh())
	})
	s.serve()
	a := s.agent()
	body := a.get("/socket.io/?EIO=4&transport=polling") // a handshake sent by the browser
	if a.cookie() == "" {
		t.Fatalf("the handshake response set no cookie; its body is %s", body)
	}
	c := a.connect(nodetest.Start(t), "/", nodetest.Options{})
	equal(t, "Fresh before the first save", call(t, c, "login"), "true")
	equal(t, "user over HTTP", a.get("/who"), "ann")
}

func TestA6_SharingPerNamespace(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).counter()
	session := func(p *socketbridge.Packet) error { return p.Ack(p.Session() != nil, p.Socket().Session() != nil) }
	s.io.Of("/admin").On("session", session)
	s.io.Of("/public").SetMode(socketbridge.SessionNone).On("session", session)
	s.io.Of("/admin").On("incr", func(p *socketbridge.Packet) error {
		n, err := p.Session().Incr(p.Context(), "count", 1)
		return errors.Join(err, p.Ack(n))
	})
	s.serve()
	a := s.agent()
	a.post("/incr")
	admin := a.connect(n, "/admin", nodetest.Options{})
	public := admin.Of("/public", nil)
	equal(t, "whether /admin has a session", admin.MustCall("session").String(), "[true,true]")
	equal(t, "whether /public has a session", public.MustCall("session").String(), "[false,false]")
	equal(t, "count on /admin", call(t, admin, "incr"), "2")
}
