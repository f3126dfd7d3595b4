package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
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

func TestA3_LoginHandlerSeenByNextRequest(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	s.app.Get("/who", func(c *fiber.Ctx) error {
		return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "user"))
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

// A browser without a session gets one from its first handshake. The cookie comes with
// the handshake's response and is valid for HTTP requests too.
func TestA3_LoginBySocketBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{})
	s.app.Get("/who", func(c *fiber.Ctx) error {
		return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "user"))
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

func TestB1_MiddlewareRunsForTheHandshake(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	var requests atomic.Int32
	s := newSite(t, options{before: func(app *fiber.App) {
		app.Use(func(c *fiber.Ctx) error {
			c.Locals("tenant", c.Get("X-Tenant"))
			return c.Next()
		})
	}})
	s.io.Engine().Use(func(c *fiber.Ctx) error {
		requests.Add(1)
		c.Set("X-Engine", "used")
		if c.Get("X-Tenant") == "banned" {
			return c.SendStatus(fiber.StatusForbidden)
		}
		return c.Next()
	})
	s.io.On("tenant", func(p *socketbridge.Packet) error {
		return p.Ack(p.Socket().Handshake().Locals["tenant"])
	})
	s.serve()
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			before := requests.Load()
			o.Header = map[string]string{"X-Tenant": "tenant of " + name}
			c := n.Connect(t, s.url, o)
			equal(t, "local set by the app's middleware", call(t, c, "tenant"), `"tenant of `+name+`"`)
			if strings.HasPrefix(name, "polling") && requests.Load()-before < 4 {
				t.Errorf("the engine's middleware ran for %d requests, want at least 4", requests.Load()-before)
			}
			c.Close()
		})
	}
	t.Run("sets headers", func(t *testing.T) {
		res, err := n.Fetch(context.Background(), nodetest.Request{URL: s.url + "/socket.io/?EIO=4&transport=polling"})
		if err != nil || res.Header["x-engine"] != "used" {
			t.Errorf("got response %+v and error %v, want the header X-Engine: used", res, err)
		}
	})
	t.Run("refuses requests", func(t *testing.T) {
		for _, transport := range []string{"polling", "websocket"} {
			c := n.Dial(t, s.url, nodetest.Options{Transports: []string{transport}, Header: map[string]string{"X-Tenant": "banned"}})
			c.MustNext(nodetest.ConnectError)
		}
	})
}

func TestB2_TheSessionIsARoom(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).counter()
	s.io.On("tell", func(p *socketbridge.Packet) error {
		return errors.Join(p.Socket().ToSession().Emit("told", "others"), s.io.ToSession(p.Session()).Emit("told", "all"))
	})
	s.serve()
	a, b := s.agent(), s.agent()
	a.post("/incr")
	b.post("/incr")
	first, second := a.connect(n, "/", nodetest.Options{}), a.connect(n, "/", nodetest.Options{Transports: []string{"polling"}})
	stranger := b.connect(n, "/", nodetest.Options{})
	first.Emit("tell")
	equal(t, "event in the other tab", second.MustNext("told").String(), `["others"]`)
	equal(t, "event in the other tab", second.MustNext("told").String(), `["all"]`)
	equal(t, "event in the emitting tab", first.MustNext("told").String(), `["all"]`)
	stranger.MustCall("count") // anything sent to it before has arrived now
	if got := first.Waiting("told") + second.Waiting("told") + stranger.Waiting("told"); got != 0 {
		t.Errorf("got %d more told events, want 0", got)
	}
	for _, sock := range s.io.Sockets() {
		for _, room := range sock.Rooms() {
			if strings.Contains(room, a.sessionID()) || strings.Contains(room, b.sessionID()) {
				t.Errorf("the room name %q contains a session ID", room)
			}
		}
	}
}

func TestB3_HTTPHandlerEmitsToItsSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	s.app.Post("/incr", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		n, err := sess.Incr("count", 1)
		if err != nil {
			return err
		}
		return s.io.ToSession(sess).Emit("current count", n)
	})
	s.io.On("sync", func(p *socketbridge.Packet) error { return p.Ack() })
	s.serve()
	a, b := s.agent(), s.agent()
	a.post("/incr")
	b.post("/incr")
	tabs := []*nodetest.Client{a.connect(n, "/", nodetest.Options{}), a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})}
	stranger := b.connect(n, "/", nodetest.Options{})
	for i := 2; i < 5; i++ {
		a.post("/incr")
		for _, tab := range tabs {
			equal(t, "current count", tab.MustNext("current count").String(), fmt.Sprintf("[%d]", i))
		}
	}
	stranger.MustCall("sync")
	if got := stranger.Waiting("current count"); got != 0 {
		t.Errorf("another session got %d events, want 0", got)
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
				sess.Set("count", fibersession.Value[int](sess, "count")+10)
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

func TestB10_OfficialClientUnchanged(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).counter()
	s.io.OnConnection(func(sock *socketbridge.Socket) {
		sock.On("ask me", func(p *socketbridge.Packet) error {
			a, err := sock.EmitWithAck(p.Context(), "question", 1, []byte{2, 3})
			if err != nil {
				return err
			}
			return p.Ack(a.Args()[0])
		})
	})
	s.io.On("echo", func(p *socketbridge.Packet) error {
		var data []byte
		var object struct {
			Text  string
			Bytes []byte
		}
		if err := p.Bind(&data, &object); err != nil {
			return err
		}
		return p.Ack(data, map[string]any{"text": object.Text, "bytes": object.Bytes})
	})
	s.io.Of("/guarded").Use(func(c *socketbridge.Connect) error {
		return &socketbridge.ConnectError{Message: "not you", Data: map[string]int{"code": 7}}
	})
	s.serve()
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			a := s.agent()
			a.post("/incr")
			c := a.connect(n, "/", o)
			if len(o.Transports) == 2 {
				equal(t, "upgrade", c.MustNext(nodetest.Upgraded).String(), `["websocket"]`)
			} else {
				equal(t, "transport", c.State().Transport, o.Transports[0])
			}
			big := make([]byte, 100_000)
			for i := range big {
				big[i] = byte(i)
			}
			answer := c.MustCall("echo", big, map[string]any{"text": "häß\u2028<b>\x00", "bytes": nodetest.Binary{1, 2, 3}})
			var back nodetest.Binary
			var object struct {
				Text  string
				Bytes nodetest.Binary
			}
			answer.Bind(t, &back, &object)
			if string(back) != string(big) || object.Text != "häß\u2028<b>\x00" || string(object.Bytes) != "\x01\x02\x03" {
				t.Errorf("echo returned %d bytes and %+v, want the %d bytes and the object that were sent", len(back), object, len(big))
			}
			c.Answer("question", "sure")
			equal(t, "answer that contains the client's answer", call(t, c, "ask me"), `"sure"`)
			equal(t, "count over the socket", call(t, c, "incr"), "2")

			guarded := c.DialOf("/guarded", nil)
			var refusal struct {
				Message string
				Data    struct{ Code int }
			}
			guarded.MustNext(nodetest.ConnectError).Bind(t, &refusal)
			if refusal.Message != "not you" || refusal.Data.Code != 7 {
				t.Errorf("got refusal %+v, want message %q and code 7", refusal, "not you")
			}
			unknown := c.DialOf("/unknown", nil)
			unknown.MustNext(nodetest.ConnectError).Bind(t, &refusal)
			equal(t, "message for an unknown namespace", refusal.Message, "Invalid namespace")
			c.Close()
			if o.Version == "4.0" { // this version cannot reconnect while its own engine is closing
				c = a.connect(n, "/", o)
			} else {
				c.Reconnect()
			}
			equal(t, "count after a reconnect", call(t, c, "incr"), "3")
			c.Close()
		})
	}
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

func TestC6_StoreSwappedByOneValue(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) { // only the URL differs
		s := newSite(t, options{storage: url}).counter().serve()
		a := s.agent()
		equal(t, "count over HTTP", a.post("/incr"), "1")
		equal(t, "count over the socket", call(t, a.connect(n, "/", nodetest.Options{}), "incr"), "2")
		equal(t, "count over HTTP", a.post("/incr"), "3")
	})
}

func TestE2_StorageSwappedByConfig(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	own := &plainStorage{}
	s := newSite(t, options{sessions: fibersession.Config{Storage: own}}).counter().serve() // any fiber.Storage
	a := s.agent()
	equal(t, "count over HTTP", a.post("/incr"), "1")
	equal(t, "count over the socket", call(t, a.connect(n, "/", nodetest.Options{}), "incr"), "2")
	equal(t, "count over HTTP", a.post("/incr"), "3")
	if own.len() == 0 {
		t.Error("the configured storage is empty, want the session in it")
	}
}

func TestD1_OneMiddlewareForBoth(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	// One rule for both the request session and the socket's handle.
	allowed := func(sess fibersession.Getter) bool { return fibersession.Value[string](sess, "role") == "admin" }
	s.app.Get("/promote", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("role", "admin")
		return nil
	})
	s.app.Get("/allowed", func(c *fiber.Ctx) error { return c.JSON(allowed(fibersession.FromContext(c))) })
	s.app.Get("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("visited", true); return nil })
	s.io.On("allowed", func(p *socketbridge.Packet) error { return p.Ack(allowed(p.Session())) })
	s.serve()
	a := s.agent()
	a.get("/visit")
	c := a.connect(n, "/", nodetest.Options{})
	equal(t, "allowed over HTTP, before", a.get("/allowed"), "false")
	equal(t, "allowed over the socket, before", call(t, c, "allowed"), "false")
	a.get("/promote")
	equal(t, "allowed over HTTP, after", a.get("/allowed"), "true")
	equal(t, "allowed over the socket, after", call(t, c, "allowed"), "true")
}

func TestE1_MountedWithUse(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	reached := make(events, 4)
	other := socketbridge.New(socketbridge.Config{Sessions: s.sessions, Engine: engineAt("/live/")})
	t.Cleanup(func() { shutdown(t, other) })
	other.On("where", func(p *socketbridge.Packet) error { return p.Ack("live") })
	s.io.On("where", func(p *socketbridge.Packet) error { return p.Ack("socket.io") })
	s.app.Use(other.Handler()) // a second server in the same app
	s.app.Get("/socket.io-not", func(c *fiber.Ctx) error { reached.add("passed on"); return nil })
	s.serve()
	equal(t, "server on the default path", call(t, n.Connect(t, s.url, nodetest.Options{}), "where"), `"socket.io"`)
	equal(t, "server on its own path", call(t, n.Connect(t, s.url, nodetest.Options{Path: "/live/"}), "where"), `"live"`)
	s.agent().get("/socket.io-not")
	reached.expect(t, "passed on")
}

func TestE3_EventChains(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	s.app.Get("/login", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", "ann"); return nil })
	s.app.Get("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("visited", true); return nil })
	requireLogin := func(p *socketbridge.Packet) error {
		if fibersession.Value[string](p.Session(), "user") == "" {
			return &socketbridge.EventError{Code: "login_required", Message: "log in first"}
		}
		return p.Next()
	}
	withGreeting := func(p *socketbridge.Packet) error { p.SetLocal("greeting", "hello"); return p.Next() }
	s.io.OnConnection(func(sock *socketbridge.Socket) {
		sock.On("greet", requireLogin, withGreeting, func(p *socketbridge.Packet) error {
			return p.Ack(fmt.Sprint(p.Local("greeting"), " ", p.Session().Get("user")))
		})
	})
	s.serve()
	a := s.agent()
	a.get("/visit")
	c := a.connect(n, "/", nodetest.Options{})
	equal(t, "answer before login", call(t, c, "greet"), `{"error":{"code":"login_required","message":"log in first"}}`)
	a.get("/login")
	equal(t, "answer after login", call(t, c, "greet"), `"hello ann"`)
}
