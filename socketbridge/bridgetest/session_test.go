package bridgetest_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// newNames returns a server whose handlers read and write a name in the session, and tell the
// client what changes.
func newNames(t testing.TB, config ...socketbridge.Config) *socketbridge.Server {
	io := newServer(t, config...)
	io.On("name", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("name")) })
	io.On("rename", func(p *socketbridge.Packet) error {
		var name string
		if err := p.Bind(&name); err != nil {
			return err
		}
		p.Session().Set("name", name)
		return p.Ack()
	})
	io.OnSessionChange(func(s *socketbridge.Socket, keys []string) { _ = s.Emit("changed", keys, s.Session().Get("name")) })
	io.OnInvalidSession(func(s *socketbridge.Socket, err error) {
		_ = s.Emit("over", errors.Is(err, fibersession.ErrExpired), errors.Is(err, fibersession.ErrDestroyed))
	})
	return io
}

func TestN10_SessionInAndOut(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newNames(t)
		c := bridgetest.Dial(t, io, bridgetest.Session(map[string]any{"name": "ann", "n": 1}))
		c.Ask("name").Want("ann")
		c.Ask("rename", "bob")
		h := c.Session()
		if h.Get("name") != "bob" || h.Get("n") != 1 {
			t.Errorf("the session has %v and %v", h.Get("name"), h.Get("n"))
		}
		c.Want("changed", []string{"name"}, "bob")
		h.Set("name", "eve")
		if err := h.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Want("changed", []string{"name"}, "eve")
		c.Ask("name").Want("eve")
		if got := c.Visitor().Session().Get("name"); got != "eve" {
			t.Errorf("over HTTP, the session has %v", got)
		}

		tab, other := c.Visitor().Dial(), bridgetest.Dial(t, io, bridgetest.Session(nil))
		tab.Ask("name").Want("eve")
		if err := io.ToSession(h).Emit("tabs"); err != nil {
			t.Fatal(err)
		}
		c.Want("tabs")
		tab.Want("tabs")
		other.WantNothing()

		if err := h.Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Want("over", false, true)
		if got := c.Disconnected(); got != socketbridge.ServerDisconnect || c.WillReconnect() {
			t.Errorf("got %q", got)
		}
		tab.Disconnected()
		other.WantNothing()
		if !other.Connected() {
			t.Error("another visitor was disconnected")
		}
	})
}

func TestN10_NewID(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newNames(t, socketbridge.Config{OnRegenerate: socketbridge.Always(socketbridge.ActionReconnect)})
		v := bridgetest.Visit(t, io, bridgetest.Session(map[string]any{"name": "ann"}))
		c := v.Dial()
		if err := c.Session().Regenerate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.Disconnected(); !c.WillReconnect() {
			t.Error("the client will not reconnect")
		}
	})
}

// The clock of a bubble moves past an expiry.
func TestN10_Expiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newNames(t, socketbridge.Config{Sessions: newStore(t, fibersession.Config{Expiration: time.Hour})})
		c := bridgetest.Dial(t, io, bridgetest.Session(map[string]any{"name": "ann"}))
		time.Sleep(50 * time.Minute)
		c.Ask("name").Want("ann") // an event extends the session
		time.Sleep(50 * time.Minute)
		c.WantNothing()
		if !c.Connected() {
			t.Fatal("the session has ended too early")
		}
		time.Sleep(11 * time.Minute)
		c.Want("over", true, false)
		c.Disconnected()
	})
}

func TestN10_UsersAndPresence(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		sessions := newStore(t)
		io := newServer(t, socketbridge.Config{Sessions: sessions, Presence: socketbridge.Presence{Grace: -1}})
		io.OnPresence(func(user string, online bool) { _ = io.Emit("presence", user, online) })
		watcher := bridgetest.Dial(t, io)
		phone := bridgetest.Dial(t, io, bridgetest.User("ann"), bridgetest.Session(map[string]any{"device": "phone"}))
		watcher.Want("presence", "ann", true)
		laptop := bridgetest.Dial(t, io, bridgetest.User("ann"))
		if phone.Socket().User() != "ann" || phone.Session().Get("device") != "phone" {
			t.Error("the user or the values of the session are missing")
		}
		phone.Discard()
		if err := io.ToUser("ann").Emit("hi"); err != nil {
			t.Fatal(err)
		}
		phone.Want("hi")
		laptop.Want("hi")
		watcher.WantNothing()
		if n, err := sessions.EndAll(t.Context(), "ann"); n != 2 || err != nil {
			t.Fatalf("EndAll ended %d sessions: %v", n, err)
		}
		phone.Disconnected()
		laptop.Disconnected()
		watcher.Want("presence", "ann", false)
	})
}

// A client whose session is invalid, in a namespace with OnInvalidSession, is told and
// disconnected.
func TestN10_InvalidAtConnect(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		io := newServer(t)
		io.Of("/").RequireSession().OnInvalidSession(func(s *socketbridge.Socket, err error) {
			_ = s.Emit("login", errors.Is(err, socketbridge.ErrSessionMissing))
		})
		c := bridgetest.Dial(t, io)
		c.Want("login", true)
		if c.Disconnected() != socketbridge.ServerDisconnect || c.Socket() != nil {
			t.Error("the client was let in")
		}
	})
}

// Two nodes with one storage and one adapter.
func TestN10_TwoNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, hub := memory.New(), adapter.NewMemory()
		t.Cleanup(func() { _ = st.Close() })
		var nodes [2]*socketbridge.Server
		for i := range nodes {
			nodes[i] = newNames(t, socketbridge.Config{Sessions: newStore(t, fibersession.Config{Storage: st}), Adapter: hub.Join()})
		}
		synctest.Wait()
		v := bridgetest.Visit(t, nodes[0], bridgetest.Session(map[string]any{"name": "ann"}))
		here, there, other := v.Dial(), v.At(nodes[1]).Dial(), bridgetest.Dial(t, nodes[1])
		here.Ask("rename", "bob")
		there.Want("changed", []string{"name"}, "bob")
		if err := nodes[0].ToSession(v.Session()).Emit("all"); err != nil {
			t.Fatal(err)
		}
		here.Want("all")
		there.Want("all")
		other.WantNothing()
		if err := v.Session().Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		here.Disconnected()
		there.Want("over", false, true)
		there.Disconnected()
	})
}

func TestN10_LimitsApply(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{MaxConnsPerSession: 2, MaxRooms: 1}})
	io.On("enter", func(p *socketbridge.Packet) error {
		return p.Socket().Join("a", "b")
	})
	v := bridgetest.Visit(t, io, bridgetest.Session(nil))
	v.Dial()
	c := v.Dial()
	_, err := v.TryDial()
	if refused := (*bridgetest.DialError)(nil); !errors.As(err, &refused) || refused.Status != 403 {
		t.Errorf("got %v, want status 403", err)
	}
	if err := c.Ask("enter").HandlerErr(); !errors.Is(err, socketbridge.ErrTooManyRooms) {
		t.Errorf("got %v", err)
	}
	for range 100 { // the limits by address do not apply
		bridgetest.Dial(t, io)
	}
	if n := io.Stats().Engine.Connections; n != 102 {
		t.Errorf("the engine counts %d connections, want 102", n)
	}
	if got := slices.Collect(func(yield func(string) bool) {
		for name := range io.Stats().Engine.Notices {
			yield(name)
		}
	}); len(got) != 0 {
		t.Errorf("the engine has logged %v", got)
	}
}

func TestN10_NoSessions(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Mode: socketbridge.SessionNone})
	io.On("echo", func(p *socketbridge.Packet) error { return p.Ack(p.Values()...) })
	bridgetest.Dial(t, io).Ask("echo", 1).Want(1)
	wantFailure(t, func(f *failing) { bridgetest.Dial(f, io, bridgetest.Session(nil)) }, "the server shares no sessions")
	wantFailure(t, func(f *failing) { bridgetest.Dial(f, io).Session() }, "the client shares no session")
}
