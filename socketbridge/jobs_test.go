package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// S7: a server can emit from its first moment on: the event is sent, and the error is never that
// the adapter has not begun.
func TestS7_EmitRightAfterNew(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	client := goredis.NewClient(&goredis.Options{Addr: redis.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	hub := adapter.NewMemory()
	cfg := redisadapter.Config{Logger: slog.New(slog.DiscardHandler)}
	signed := cfg
	signed.Secrets = [][]byte{[]byte(strings.Repeat("s", 32))}
	for name, link := range map[string]func() adapter.Adapter{
		"memory":  hub.Join,
		"classic": func() adapter.Adapter { return redisadapter.New(client, cfg) },
		"signed": func() adapter.Adapter {
			signed.Key = "signed"
			return redisadapter.New(client, signed)
		},
		"streams": func() adapter.Adapter { return redisadapter.NewStreams(client, cfg) },
	} {
		t.Run(name, func(t *testing.T) {
			nodes := []*socketbridge.Server{newServer(t, socketbridge.Config{Adapter: link()}), newServer(t, socketbridge.Config{Adapter: link()})}
			waitForLinks(t, nodes...)
			p := join(t, nodes[0], "/")
			for i := range 20 {
				io := newServer(t, socketbridge.Config{Adapter: link()})
				if err := io.Emit("first", i); err != nil {
					t.Fatalf("Emit right after New: %v", err)
				}
				p.expect(fmt.Sprintf(`2["first",%d]`, i))
				shutdown(t, io)
				if err := io.Emit("late"); !errors.Is(err, adapter.ErrClosed) {
					t.Errorf("Emit after Shutdown returned %v, want adapter.ErrClosed", err)
				}
			}
		})
	}
}

// onlineUsers returns the users that a server yields, sorted.
func onlineUsers(t *testing.T, io *socketbridge.Server) string {
	t.Helper()
	var all []string
	for user, err := range io.OnlineUsers(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, user)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// S7: OnlineUsers yields the users of all nodes, each once, as OnPresence reports them.
func TestS7_OnlineUsers(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		p := newSitePair(t, url, socketbridge.Config{Presence: socketbridge.Presence{Grace: -1}})
		ann, bob := p.sites[0].loggedIn("ann"), p.sites[1].loggedIn("bob")
		is := func(when, want string) {
			t.Helper()
			for i, s := range p.sites {
				if got := onlineUsers(t, s.io); got != want {
					t.Errorf("%s, node %d: got %q, want %q", when, i, got, want)
				}
			}
		}
		is("before the first socket", "")
		here := p.connect(n, ann, 0)
		p.calls.expect(t, "ann true")
		is("with ann", "ann")
		p.connect(n, ann, 1)
		p.waitForNodes("ann", 2)
		p.connect(n, bob, 1)
		p.calls.expect(t, "bob true")
		is("with both", "ann bob")
		for user := range p.sites[0].io.OnlineUsers(t.Context()) { // can be stopped
			if user == "" {
				t.Error("got an empty user")
			}
			break
		}
		here.Close()
		p.waitForNodes("ann", 1)
		is("with ann on the other node", "ann bob")
		if err := p.sites[0].io.User("ann").Disconnect(); err != nil {
			t.Fatal(err)
		}
		p.calls.expect(t, "ann false")
		is("without ann", "bob")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for user, err := range p.sites[0].io.OnlineUsers(ended) {
			if err == nil {
				t.Errorf("got the user %q with a context that has ended, want an error", user)
			}
		}
	})
	t.Run("one node", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, withUsers("")).users().serve()
		if got := onlineUsers(t, s.io); got != "" {
			t.Errorf("got %q before the first socket", got)
		}
		s.loggedIn("ann").connect(n, "/", nodetest.Options{})
		equal(t, "online users", onlineUsers(t, s.io), "ann")
	})
}

// S7: a description of a socket names its user and its session on all nodes, but not to clients.
func TestS7_RemoteSocketUser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		p := newSitePair(t, url, socketbridge.Config{})
		ann, guest := p.sites[0].loggedIn("ann"), p.sites[1].agent()
		first, second := p.connect(n, ann, 0), p.connect(n, ann, 1)
		visitor := p.connect(n, guest, 1)
		all, err := p.sites[0].io.FetchSockets(t.Context())
		if err != nil || len(all) != 3 {
			t.Fatalf("got %d sockets, %v, want 3", len(all), err)
		}
		byID := map[string]socketbridge.RemoteSocket{}
		for _, r := range all {
			byID[r.ID()] = r
			if err := r.Data("user", new(string)); err == nil || slices.ContainsFunc(r.Rooms(), func(room string) bool { return strings.Contains(room, "ann") }) {
				t.Error("the user is in the data or in the name of a room")
			}
		}
		one, two, other := byID[first.State().ID], byID[second.State().ID], byID[visitor.State().ID]
		if one.User() != "ann" || two.User() != "ann" || other.User() != "" {
			t.Errorf("got the users %q, %q and %q, want ann twice and none", one.User(), two.User(), other.User())
		}
		if one.Session() == "" || one.Session() != two.Session() || one.Session() == other.Session() {
			t.Errorf("got the sessions %q, %q and %q, want the first two to be equal", one.Session(), two.Session(), other.Session())
		}
		if id := ann.sessionID(); strings.Contains(string(one.Session()), id) {
			t.Error("the name of the session contains its ID")
		}
		if err := p.sites[1].io.ToSession(one.Session()).Emit("note"); err != nil {
			t.Fatal(err)
		}
		first.MustNext("note")
		second.MustNext("note")
		equal(t, "user of the visitor", call(t, visitor, "whoami"), `""`)
		if visitor.Waiting("note") != 0 {
			t.Error("a socket of another session got the event")
		}
		some, err := p.sites[1].io.User("ann").FetchSockets(t.Context())
		if err != nil || len(some) != 2 {
			t.Errorf("got %d sockets of ann, %v, want 2", len(some), err)
		}
	})
}

// S7: a job goes on after its socket has ended. It saves the session, and its result reaches the
// user's later socket, on another node.
func TestS7_JobOutlivesItsSocket(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		p := newSitePair(t, url, socketbridge.Config{})
		io := p.sites[0].io
		work, done := make(chan struct{}), make(chan error, 1)
		io.On("report", func(e *socketbridge.Packet) error {
			job, user := e.Session().Detach(), e.Socket().User()
			go func() { // ends with work; waited for by done
				defer job.Release()
				<-work
				job.Set("report", "ready")
				done <- errors.Join(job.Save(context.Background()), io.ToUser(user).Emit("report", "ready"))
			}()
			return e.Ack("begun")
		})
		ann := p.sites[0].loggedIn("ann")
		c := p.connect(n, ann, 0)
		equal(t, "answer", call(t, c, "report"), `"begun"`)
		c.Close()
		waitFor(t, "the socket to end", func() bool { return !io.User("ann").Online() })
		later := p.connect(n, ann, 1)
		close(work)
		if err := <-done; err != nil {
			t.Fatalf("the job: %v", err)
		}
		equal(t, "result at the later socket", later.MustNext("report").String(), `["ready"]`)
		h, err := p.sites[1].sessions.GetByID(t.Context(), ann.sessionID())
		if err != nil || h.Get("report") != "ready" {
			t.Errorf("the session has %v, %v, want what the job has saved", h.Get("report"), err)
		}
	})
}

// A job that an event starts goes on when the user closes the page. Detach gives it the session,
// and ToUser reaches the sockets that the user has when it is done.
func Example_job() {
	io := socketbridge.New(socketbridge.Config{Sessions: fibersession.New(fibersession.Config{UserKey: "user"})})
	io.On("report", func(p *socketbridge.Packet) error {
		session, user := p.Session().Detach(), p.Socket().User()
		go func() {
			defer session.Release()
			session.Set("report", makeReport())
			if err := session.Save(context.Background()); errors.Is(err, fibersession.ErrSessionGone) {
				return // the user has logged out
			}
			_ = io.ToUser(user).Emit("report ready")
		}()
		return p.Ack("begun")
	})
}

func makeReport() string { return "42" }
