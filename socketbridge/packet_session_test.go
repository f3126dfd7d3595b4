package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

func TestA3_LoginHandlerSeenByNextRequest(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	s.app.Get("/who", func(c *fiber.Ctx) error {
		return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
	})
	s.io.On("login", func(p *socketbridge.Packet) error {
		var user string
		if err := p.Bind(&user); err != nil {
			return err
		}
		p.Session().Set("user", user)
		return p.Ack(true)
	})
	s.io.On("logout", func(p *socketbridge.Packet) error {
		p.Session().Delete("user")
		return p.Ack(true)
	})
	s.app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("visited", true)
		return nil
	})
	s.serve()
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			a := s.agent()
			a.get("/")
			c := a.connect(n, "/", o)
			call(t, c, "login", "ann")
			equal(t, "after login", a.get("/who"), "ann")
			call(t, c, "logout")
			equal(t, "after logout", a.get("/who"), "")
			c.Close()
		})
	}
}

func TestA4_ReloadAndSaveOnTheHandle(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{bridge: socketbridge.Config{Mode: socketbridge.SessionManual}}).counter()
	s.io.On("save", func(p *socketbridge.Packet) error {
		sess := p.Socket().Session()
		sess.Set("count", 41)
		if err := sess.Save(p.Context()); err != nil {
			return err
		}
		return p.Ack(sess.Changed())
	})
	s.io.On("reload", func(p *socketbridge.Packet) error {
		sess := p.Socket().Session()
		sess.Set("count", -1)
		if err := sess.Reload(p.Context()); err != nil { // drops unsaved changes
			return err
		}
		return p.Ack(sess.Get("count"))
	})
	s.io.On("gone", func(p *socketbridge.Packet) error {
		sess := p.Socket().Session()
		sess.Set("x", 1)
		return p.Ack(
			errors.Is(sess.Reload(p.Context()), fibersession.ErrSessionGone),
			errors.Is(sess.Save(p.Context()), fibersession.ErrSessionGone))
	})
	s.serve()
	a := s.agent()
	a.post("/incr")
	c := a.connect(n, "/", nodetest.Options{})
	equal(t, "Changed after Save", call(t, c, "save"), "false")
	equal(t, "count over HTTP after Save", a.post("/incr"), "42")
	equal(t, "count after Reload", call(t, c, "reload"), "42")
}

func TestA7_Autosave(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for _, tt := range []struct {
		name  string
		mode  socketbridge.SessionMode
		saved string
	}{
		{"per packet", socketbridge.SessionPerPacket, "2"},
		{"per connection", socketbridge.SessionPerConnection, "2"},
		{"manual", socketbridge.SessionManual, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, options{bridge: socketbridge.Config{Mode: tt.mode}}).counter()
			s.io.On("fail", func(p *socketbridge.Packet) error {
				p.Session().Set("count", 100)
				return &socketbridge.EventError{Code: "no", Message: "no"}
			})
			s.io.On("panic", func(p *socketbridge.Packet) error {
				p.Session().Set("count", 200)
				panic("no")
			})
			s.serve()
			a := s.agent()
			a.post("/incr")
			c := a.connect(n, "/", nodetest.Options{})
			equal(t, "count in the handler", call(t, c, "incr"), "2")
			equal(t, "count over HTTP", a.get("/count"), tt.saved)
			if tt.mode == socketbridge.SessionManual {
				return
			}
			// An error does not roll back the session. A panic saves nothing.
			c.MustCall("fail")
			equal(t, "count after an error", a.get("/count"), "100")
			c.MustCall("panic")
			equal(t, "count after a panic", a.get("/count"), "100")
		})
	}
}

func TestB5_ReloadChangeAndSaveByHand(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, bridge: socketbridge.Config{Mode: socketbridge.SessionManual}}).counter()
		s.io.OnConnection(func(sock *socketbridge.Socket) {
			sess := sock.Session() // kept for the socket's lifetime
			sock.On("by hand", func(p *socketbridge.Packet) error {
				if err := sess.Reload(p.Context()); err != nil {
					return err
				}
				sess.Set("count", valueOf[int](sess, "count")+10)
				if err := sess.Save(p.Context()); err != nil {
					return err
				}
				return p.Ack(sess.Get("count"))
			})
		})
		s.serve()
		a := s.agent()
		a.post("/incr")
		c := a.connect(n, "/", nodetest.Options{})
		equal(t, "count saved by hand", call(t, c, "by hand"), "11")
		equal(t, "count over HTTP", a.post("/incr"), "12")
		equal(t, "count saved by hand", call(t, c, "by hand"), "22")
	})
}

func TestB6_PacketMiddlewareWithReload(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	happened := make(events, 16)
	s := newSite(t, options{bridge: socketbridge.Config{Mode: socketbridge.SessionManual}}).counter()
	s.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	s.io.OnConnection(func(sock *socketbridge.Socket) {
		sock.Use(socketbridge.Reload())
		sock.Use(func(p *socketbridge.Packet) error {
			if p.Event() == "forbidden" {
				return errors.New("forbidden")
			}
			if p.Event() == "double" {
				var n int
				if err := errors.Join(p.Bind(&n), p.SetArgs(2*n)); err != nil {
					return err
				}
			}
			return p.Next()
		})
		sock.OnError(func(p *socketbridge.Packet, err error) { happened.add("%s: %v", p.Event(), err) })
		sock.OnDisconnect(func(r socketbridge.Reason) { happened.add("%s", r) })
	})
	for _, event := range []string{"double", "forbidden"} {
		s.io.On(event, func(p *socketbridge.Packet) error {
			var n int
			err := p.Bind(&n)
			return errors.Join(err, p.Ack(p.Event(), n))
		})
	}
	s.serve()
	a := s.agent()
	a.post("/incr")
	c := a.connect(n, "/", nodetest.Options{})
	a.post("/incr")
	equal(t, "count after the middleware's Reload", call(t, c, "count"), "2")
	equal(t, "answer with changed arguments", c.MustCall("double", 21).String(), `["double",42]`)
	c.Emit("forbidden", 1)
	happened.expect(t, "forbidden: forbidden")
	equal(t, "count after an error", call(t, c, "count"), "2")
	a.post("/logout")
	equal(t, "disconnect reason on the client", c.MustNext(nodetest.Disconnected).String(), `["io server disconnect"]`)
	happened.expect(t, "server namespace disconnect")
}

func TestB7_NoStaleHandle(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, bridge: socketbridge.Config{Mode: socketbridge.SessionManual}}).counter()
		s.io.OnConnection(func(sock *socketbridge.Socket) {
			kept := sock.Session()
			again := kept.Fork()
			sock.On("look", func(p *socketbridge.Packet) error {
				if err := p.Session().Reload(p.Context()); err != nil {
					return err
				}
				return p.Ack(kept.Get("count"), again.Get("count"), sock.Session().Get("count"))
			})
		})
		s.serve()
		a := s.agent()
		a.post("/incr")
		one, two := a.connect(n, "/", nodetest.Options{}), a.connect(n, "/", nodetest.Options{})
		for i := 2; i < 5; i++ {
			a.post("/incr")
			want := fmt.Sprintf("[%d,%d,%d]", i, i, i)
			equal(t, "counts in every handle of one socket", one.MustCall("look").String(), want)
			equal(t, "counts in every handle of the other socket", two.MustCall("look").String(), want)
		}
	})
}

func TestC2_PerMessageMode(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url}).counter().serve() // SessionPerPacket is the default
		a := s.agent()
		a.post("/incr")
		c := a.connect(n, "/", nodetest.Options{})
		for i := 2; i < 10; i += 2 {
			equal(t, "count over the socket, after HTTP saved it", call(t, c, "incr"), fmt.Sprint(i))
			equal(t, "count over HTTP, after the socket saved it", a.post("/incr"), fmt.Sprint(i+1))
		}
	})
}

// A node loads a session once for all events that wait for it, and not at all in tracked
// mode. Reload(Strict) always loads.
func TestReload_HowOftenTheStoreIsAsked(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, tt := range map[string]struct {
		f     fibersession.Freshness
		event string
		loads uint64
	}{
		"strict":                        {fibersession.Strict, "count", 10},
		"tracked":                       {fibersession.Tracked, "count", 0},
		"tracked, but strict for this":  {fibersession.Tracked, "careful", 10},
		"strict, and tracked for this":  {fibersession.Strict, "relaxed", 10},
		"strict, and once more by hand": {fibersession.Strict, "again", 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, options{bridge: socketbridge.Config{Freshness: tt.f}}).counter()
			count := func(p *socketbridge.Packet) error { return p.Ack(valueOf[int](p.Session(), "count")) }
			s.io.On("careful", socketbridge.Reload(fibersession.Strict), count)
			s.io.On("relaxed", socketbridge.Reload(fibersession.Tracked), count)
			s.io.On("again", socketbridge.Reload(), count)
			s.serve()
			a := s.agent()
			a.post("/incr")
			tab := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
			s.waitForTracking()
			before := s.sessions.Stats()
			for range 10 {
				equal(t, "count", call(t, tab, tt.event), "1")
			}
			after := s.sessions.Stats()
			if loads := after.Loads - before.Loads; loads != tt.loads {
				t.Errorf("10 events caused %d loads, want %d", loads, tt.loads)
			}
		})
	}
}

// C1: the session is loaded at connect, saved when handlers return, and saved once more
// at disconnect.
func TestC1_PerConnectionMode(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		base, err := storage.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = base.Close() })
		otherNode := fibersession.New(fibersession.Config{Storage: base, Logger: silent}) // another node
		t.Cleanup(func() { _ = otherNode.Close() })
		s := newSite(t, options{sessions: fibersession.Config{Storage: base, Tracking: fibersession.Tracking{Recheck: -1}}, bridge: socketbridge.Config{Mode: socketbridge.SessionPerConnection}}).sessionRoutes()
		socks := make(chan *socketbridge.Socket, 1)
		s.io.OnConnection(func(sock *socketbridge.Socket) {
			sock.OnDisconnect(func(socketbridge.Reason) { sock.Session().Set("end", true) })
			socks <- sock
		})
		s.serve()
		a := s.member()
		stored := func(key string) any {
			h, err := otherNode.GetByID(context.Background(), a.sessionID())
			if err != nil {
				t.Fatal(err)
			}
			defer h.Release()
			return h.Get(key)
		}
		c := a.connect(n, "/", nodetest.Options{})
		s.waitForTracking() // the session is loaded once more when the node starts to track it
		before := s.sessions.Stats().Loads
		equal(t, "name at connect", call(t, c, "name"), `"ann"`)
		equal(t, "name in a later event", call(t, c, "name"), `"ann"`)
		if n := s.sessions.Stats().Loads - before; n != 0 {
			t.Errorf("two events caused %d loads, want 0", n)
		}
		call(t, c, "rename", "bob")
		if got := stored("name"); got != "bob" {
			t.Errorf("got stored name %v, want bob: a crash now would lose the change", got)
		}
		equal(t, "name over HTTP", a.get("/name"), "bob")
		sock := <-socks
		sock.Session().Set("late", true) // outside of a handler
		if got := stored("late"); got != nil {
			t.Errorf("late is stored as %v before the disconnect, want nothing", got)
		}
		c.Close()
		select {
		case <-sock.Context().Done():
		case <-time.After(20 * time.Second):
			t.Fatal("the socket did not end within 20 s")
		}
		if stored("late") != true || stored("end") != true {
			t.Errorf("after the disconnect late is stored as %v and end as %v, want true for both", stored("late"), stored("end"))
		}
	})
}

// C3: the session is already loaded when a connection handler gets the socket.
func TestC3_ConnectionHandlerHasTheSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		for name, mode := range map[string]socketbridge.SessionMode{
			"per packet": socketbridge.SessionPerPacket, "per connection": socketbridge.SessionPerConnection, "manual": socketbridge.SessionManual,
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, options{storage: url, bridge: socketbridge.Config{Mode: mode}}).sessionRoutes()
				s.io.OnConnection(func(sock *socketbridge.Socket) {
					sock.Session().Set("visits", valueOf[int](sock.Session(), "visits")+1)
					if mode == socketbridge.SessionManual {
						_ = sock.Session().Save(sock.Context())
					}
					_ = sock.Emit("hello", sock.Session().Get("name"), sock.Session().Get("visits"))
				})
				s.serve()
				a := s.member()
				for i := 1; i < 3; i++ {
					c := a.connect(n, "/", nodetest.Options{})
					equal(t, "hello event", c.MustNext("hello").String(), fmt.Sprintf(`["ann",%d]`, i))
					call(t, c, "name") // the handler's changes are saved before any event is handled
					c.Close()
				}
			})
		}
	})
}

// C4: a message handler gets the message and the session.
func TestC4_MessageHandlerHasTheSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url}).sessionRoutes()
		handler := func(p *socketbridge.Packet) error {
			var text string
			if err := p.Bind(&text); err != nil {
				return err
			}
			said := append(valueOf[[]string](p.Session(), "said"), text)
			p.Session().Set("said", said)
			return p.Ack(p.Session().Get("name"), text, len(said))
		}
		s.io.On("message", handler)
		s.io.OnConnection(func(sock *socketbridge.Socket) { sock.On("own", handler) })
		s.serve()
		c := s.member().connect(n, "/", nodetest.Options{})
		equal(t, "answer of the namespace's handler", c.MustCall("message", "hi").String(), `["ann","hi",1]`)
		equal(t, "answer of the socket's handler", c.MustCall("own", "there").String(), `["ann","there",2]`)
	})
}

// A namespace can override the server's session mode.
func TestModePerNamespace(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, sessions: fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, bridge: socketbridge.Config{Mode: socketbridge.SessionManual}}).sessionRoutes()
		s.io.Of("/connection").SetMode(socketbridge.SessionPerConnection)
		s.io.Of("/packet").SetMode(socketbridge.SessionPerPacket)
		s.io.Of("/none").SetMode(socketbridge.SessionNone).On("look", func(p *socketbridge.Packet) error { return p.Ack(p.Session() == nil) })
		for _, name := range []string{"/", "/connection", "/packet"} {
			s.io.Of(name).On("look", func(p *socketbridge.Packet) error {
				p.Session().Set("by", name)
				return p.Ack(p.Session().Get("name"))
			})
		}
		s.app.Get("/by", func(c *fiber.Ctx) error { return c.SendString(fmt.Sprint(fibersession.FromContext(c).Get("by"))) })
		s.serve()
		a := s.member()
		c := a.connect(n, "/", byWebSocket)
		for _, tt := range []struct {
			at    *nodetest.Client
			sees  string
			loads uint64
			saved string
		}{
			{c, `"ann"`, 0, "<nil>"},
			{c.Of("/none", nil), "true", 0, "<nil>"},
			{c.Of("/connection", nil), `"ann"`, 0, "/connection"},
			{c.Of("/packet", nil), `"ann"`, 1, "/packet"},
		} {
			s.waitForTracking()
			before := s.sessions.Stats().Loads
			equal(t, "value in the event", call(t, tt.at, "look"), tt.sees)
			if n := s.sessions.Stats().Loads - before; n != tt.loads {
				t.Errorf("%s: the event caused %d loads, want %d", tt.saved, n, tt.loads)
			}
			equal(t, "saved value", a.get("/by"), tt.saved)
		}
	})
}
