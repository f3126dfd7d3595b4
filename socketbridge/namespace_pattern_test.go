package socketbridge_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

var projects = regexp.MustCompile(`/project-\d+`)

// S2: names that no client can join are refused at start.
func TestS2_NamespaceNames(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	for name, want := range map[string]string{
		"/a,b":                         "comma",
		"/a?b":                         "question mark",
		"a\n":                          "control character",
		"/\x00":                        "control character",
		"/\u0085":                      "control character",
		"/\xff":                        "UTF-8",
		"/" + strings.Repeat("a", 256): "256 bytes",
	} {
		if text := mustPanic(t, func() { io.Of(name) }); !strings.Contains(text, want) {
			t.Errorf("Of(%q) panics with %q, want %q", name, text, want)
		}
	}
	for _, name := range []string{"", "/", "chat", "/ü/日本 #1", "/" + strings.Repeat("a", 255)} {
		io.Of(name)
		if !strings.HasPrefix(name, "/") {
			name = "/" + name
		}
		join(t, io, name)
	}
	for name, fn := range map[string]func(){
		"OfPattern":      func() { io.OfPattern(nil) },
		"OfFunc":         func() { io.OfFunc(nil) },
		"OnNewNamespace": func() { io.OnNewNamespace(nil) },
		"WebSocket":      func() { io.OfPattern(projects).WebSocket() },
	} {
		if text := mustPanic(t, fn); !strings.Contains(text, name) {
			t.Errorf("%s panics with %q", name, text)
		}
	}
}

// refused joins a namespace and returns the answer.
func (p *peer) refused(namespace, auth string) string {
	p.t.Helper()
	p.send("0" + namespace + "," + auth)
	return p.next()
}

// S2: which clients may join a namespace of a pattern, and which pattern a name belongs to.
func TestS2_PatternsMatch(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	static := io.Of("/project-0")
	connected := make(events, 8)
	note := func(who string) func(*socketbridge.Socket) {
		return func(s *socketbridge.Socket) { connected.add("%s %s", who, s.Namespace().Name()) }
	}
	static.OnConnection(note("static"))
	io.OfPattern(regexp.MustCompile(`/a|/ab`)).OnConnection(note("alternatives"))
	io.OfPattern(projects).OnConnection(note("projects"))
	io.OfPattern(regexp.MustCompile(`/project-.*`)).OnConnection(note("second"))
	io.OfFunc(func(name string, auth json.RawMessage) bool {
		if name == "/panic" {
			panic("oops")
		}
		return strings.HasPrefix(name, "/secret-") && string(auth) == `{"key":1}`
	}).OnConnection(note("func"))
	for _, tt := range []struct{ name, auth, want string }{
		{"/project-0", "", "static"},
		{"/project-1", "", "projects"},
		{"/project-x", "", "second"},
		{"/x/project-1", "", ""}, // only a part of the name matches
		{"/project-1/x", "", "second"},
		{"/a", "", "alternatives"},
		{"/ab", "", "alternatives"},
		{"/abc", "", ""},
		{"/secret-1", `{"key":1}`, "func"},
		{"/secret-1", `{"key":2}`, ""}, // also while it exists
		{"/secret-1", "", ""},
		{"/panic", "", ""},
		{"/project-\t", "", ""}, // "." matches, but no namespace can have this name
	} {
		c := dial(t, io)
		got := c.refused(tt.name, tt.auth)
		if tt.want == "" {
			if want := "4" + tt.name + `,{"message":"Invalid namespace"}`; got != want {
				t.Errorf("%s: got %s, want %s", tt.name, got, want)
			}
			continue
		}
		connected.expect(t, tt.want+" "+tt.name)
	}
}

// S2: children have the middlewares, handlers and modes of their pattern, also those that are
// added later, and their own.
func TestS2_ChildrenInherit(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{sessions: fibersession.Config{UserKey: "user"}}).users()
	heard := make(events, 32)
	s.io.OnNewNamespace(func(ns *socketbridge.Namespace) {
		ns.On("own", func(p *socketbridge.Packet) error { return p.Ack("own " + p.Socket().Namespace().Name()) })
	})
	all := s.io.OfPattern(projects)
	all.RequireSession().Use(func(c *socketbridge.Connect) error {
		if c.Session().User() == "" {
			return &socketbridge.ConnectError{Message: "who are you"}
		}
		return c.Next()
	})
	all.OnConnection(func(sock *socketbridge.Socket) { heard.add("connection %s", sock.User()) })
	all.OnSessionChange(func(_ *socketbridge.Socket, keys []string) { heard.add("change %s", keys) })
	all.OnInvalidSession(func(_ *socketbridge.Socket, err error) { heard.add("invalid %s", causeOf(err)) })
	all.On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Session().User()) })
	s.app.Post("/destroy", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	s.serve()
	ann := s.loggedIn("ann")
	c := ann.connect(n, "/project-7", byWebSocket)
	heard.expect(t, "connection ann")
	equal(t, "event of the pattern", call(t, c, "whoami"), `"ann"`)
	equal(t, "event of the child", call(t, c, "own"), `"own /project-7"`)
	all.On("later", func(p *socketbridge.Packet) error { return p.Ack("later") })
	equal(t, "event that the pattern got later", call(t, c, "later"), `"later"`)
	all.Off("later")
	equal(t, "after Off", fmt.Sprint(s.io.Of("/project-7").Sockets()[0].User()), "ann")

	// User rooms, session rooms and broadcasts to the pattern.
	bob := s.loggedIn("bob").connect(n, "/project-8", byWebSocket)
	heard.expect(t, "connection bob")
	for _, emit := range []func() error{
		func() error { return s.io.User("ann").Emit("hers", 1) },
		func() error { return all.ToUser("ann").Emit("hers", 2) },
		func() error { return s.io.Of("/project-7").ToUser("ann").Emit("hers", 3) },
		func() error { return all.Emit("all", 4) },
	} {
		if err := emit(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"[1]", "[2]", "[3]"} {
		equal(t, "event to the user", c.MustNext("hers").String(), want)
	}
	equal(t, "event to the pattern", c.MustNext("all").String(), "[4]")
	equal(t, "event to the pattern", bob.MustNext("all").String(), "[4]")
	if bob.Waiting("hers") > 0 {
		t.Error("another user got the event")
	}

	// The end of the session reaches the child.
	ann.post("/destroy")
	heard.expect(t, "invalid destroyed")
	waitForLogout(t, "ann", c)
}

// S2: the methods of a pattern that address sockets address those of all children.
func TestS2_PatternAddressesItsChildren(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 2, socketbridge.Config{})
	patterns := make([]*socketbridge.Namespace, 2)
	for i, io := range nodes {
		patterns[i] = io.OfPattern(projects)
		patterns[i].OnConnection(func(s *socketbridge.Socket) { _ = s.Join("r") })
		io.OnNewNamespace(func(*socketbridge.Namespace) {})
	}
	all := patterns[0]
	one, two := join(t, nodes[0], "/project-1"), join(t, nodes[0], "/project-2")
	far := join(t, nodes[1], "/project-1") // reached through the child of node 0
	other := join(t, nodes[0], "/chat")
	waitFor(t, "the child on both nodes", func() bool {
		n, err := nodes[0].Of("/project-1").Nodes(t.Context())
		return err == nil && n == 2 && len(nodes[1].Of("/project-1").To("r").Sockets()) == 1 && len(all.To("r").Sockets()) == 2
	})
	if err := all.To("r").Except(two.sid).Emit("room"); err != nil {
		t.Fatal(err)
	}
	if err := all.Emit("all"); err != nil {
		t.Fatal(err)
	}
	one.expect(`2/project-1,["room"]`, `2/project-1,["all"]`)
	far.expect(`2/project-1,["room"]`, `2/project-1,["all"]`)
	two.expect(`2/project-2,["all"]`)
	if got := len(all.Sockets()); got != 2 {
		t.Errorf("Sockets: got %d, want the 2 of this node", got)
	}
	if all.Socket(two.sid) == nil || all.Socket("x") != nil {
		t.Error("Socket does not find a socket of a child by its ID, or finds one that does not exist")
	}
	sockets, err := all.FetchSockets(t.Context())
	if err != nil || len(sockets) != 3 {
		t.Errorf("FetchSockets: got %d sockets and %v, want 3", len(sockets), err)
	}
	rooms, err := all.AllRooms(t.Context())
	if err != nil || !slices.Contains(rooms, "r") {
		t.Errorf("AllRooms: got %q and %v", rooms, err)
	}
	if err := all.To("r").Join("more"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the join on the other node", func() bool { return len(nodes[1].Of("/project-1").To("more").Sockets()) == 1 })
	if err := all.To("r").Leave("more"); err != nil {
		t.Fatal(err)
	}
	answers := make(chan int, 1)
	go func() { // ends with the answers
		got, err := all.Timeout(waitTimeout).EmitWithAck(t.Context(), "q")
		if err != nil {
			t.Error(err)
		}
		answers <- len(got)
	}()
	for _, p := range []*peer{one, two, far} {
		q := p.next()
		id := strings.TrimSuffix(strings.Split(q, ",")[1], `["q"]`)
		p.send("3" + strings.Split(q[1:], ",")[0] + "," + id + "[1]")
	}
	if got := <-answers; got != 3 {
		t.Errorf("EmitWithAck: got %d answers, want 3", got)
	}
	if err := all.Broadcast().Disconnect(false); err != nil {
		t.Fatal(err)
	}
	one.expect("1/project-1,")
	two.expect("1/project-2,")
	far.expect("1/project-1,")
	if !nodes[0].Of("/chat").Socket(other.sid).Connected() {
		t.Error("a socket of another namespace was disconnected")
	}
}

// S2, N11: an empty child is removed, with everything that belongs to it, and a namespace
// that Of returned stays.
func TestS2_EmptyChildrenAreRemoved(t *testing.T) {
	t.Parallel()
	for name, window := range map[string]time.Duration{"": 0, "recovery": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := adapter.NewMemory()
				closed := make(events, 64)
				io := newServer(t, socketbridge.Config{
					Adapter: recordingAdapter{hub.Join(), closed}, Recovery: socketbridge.Recovery{Window: window},
				})
				all := io.OfPattern(projects)
				var stale *socketbridge.Namespace
				all.OnConnection(func(s *socketbridge.Socket) {
					if s.Namespace().Name() == "/project-1" && stale == nil {
						stale = s.Namespace()
					}
				})
				before := io.NamespaceCount()
				c := join(t, io, "/project-1")
				synctest.Wait() // handlers of several sockets overlap
				second := join(t, io, "/project-1")
				synctest.Wait()
				join(t, io, "/project-2")
				synctest.Wait()
				if got := io.Stats().Children; got != 2 {
					t.Errorf("got %d children, want 2", got)
				}
				_ = all.Emit("kept") // in the recovery log
				c.send("1/project-1,")
				synctest.Wait()
				if got := io.Stats().Children; got != 2 {
					t.Errorf("with one socket left: got %d children, want 2", got)
				}
				second.leave()
				synctest.Wait()
				if window > 0 {
					if got := io.Stats().Children; got != 2 {
						t.Errorf("while a socket can be recovered: got %d children, want 2", got)
					}
					time.Sleep(window + time.Second)
					synctest.Wait()
				}
				closed.expect(t, "close /project-1")
				if got := io.Stats().Children; got != 1 || io.NamespaceCount() != before+1 {
					t.Errorf("got %d children, want 1", got)
				}
				again := join(t, io, "/project-1")
				synctest.Wait()
				if err := stale.Emit("by the old pointer"); err != nil {
					t.Error(err)
				}
				if got := again.next(); !strings.HasPrefix(got, `2/project-1,["by the old pointer"`) {
					t.Errorf("got %s", got)
				}
				if io.Of("/project-1") == stale || stale.Socket(again.sid) == nil {
					t.Error("the removed namespace is not replaced")
				}
				again.leave()
				time.Sleep(2 * window)
				synctest.Wait()
				if got := io.Stats().Children; got != 2 {
					t.Errorf("a child that Of returned: got %d children, want 2", got)
				}
			})
		})
	}
}

// recordingAdapter records the namespaces that are closed.
type recordingAdapter struct {
	adapter.Adapter
	closed events
}

func (a recordingAdapter) Close(namespace string) {
	a.closed.add("close %s", namespace)
	a.Adapter.(adapter.Closer).Close(namespace)
}

// A node whose adapter cannot close a namespace still replies for a child that it has removed,
// so that the other nodes do not wait for it in vain.
func TestS2_RemovedChildrenAnswer(t *testing.T) {
	t.Parallel()
	hub := adapter.NewMemory()
	nodes := make([]*socketbridge.Server, 2)
	for i := range nodes {
		nodes[i] = newServer(t, socketbridge.Config{Adapter: noLogAdapter{hub.Join()}, Timeouts: socketbridge.Timeouts{Request: time.Hour, Ack: time.Hour}})
		nodes[i].OfPattern(projects)
	}
	waitForLinks(t, nodes...)
	c := join(t, nodes[1], "/project-1")
	c.leave()
	waitFor(t, "the removal of the child", func() bool { return nodes[1].Stats().Children == 0 })
	ns := nodes[0].Of("/project-1")
	if got, err := ns.FetchSockets(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("FetchSockets: got %d and %v", len(got), err)
	}
	if got, err := ns.AllRooms(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("AllRooms: got %q and %v", got, err)
	}
	if got, err := ns.Broadcast().EmitWithAck(t.Context(), "q"); err != nil || len(got) != 0 {
		t.Errorf("EmitWithAck: got %d and %v", len(got), err)
	}
}

// S2, R8: clients that join and leave at the same time never find a child that is gone, and
// all children are gone in the end.
func TestS2_ChildrenComeAndGo(t *testing.T) {
	t.Parallel()
	hub := adapter.NewMemory()
	io := newServer(t, socketbridge.Config{Adapter: hub.Join(), Limits: socketbridge.Limits{EventsPerSecond: -1}})
	all := io.OfPattern(projects)
	all.On("echo", func(p *socketbridge.Packet) error {
		ns := p.Socket().Namespace()
		if ns.Socket(p.Socket().ID()) == nil {
			return fmt.Errorf("a handler runs in a namespace that is gone")
		}
		return ns.To(p.Socket().ID()).Emit("echo")
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c := dial(t, io)
			defer c.leave()
			for j := range 100 {
				ns := fmt.Sprint("/project-", (i+j)%2)
				c.join(ns)
				c.send("2" + ns + `,["echo"]`)
				if got, want := c.next(), "2"+ns+`,["echo"]`; got != want {
					t.Errorf("got %s, want %s", got, want)
					return
				}
				c.send("1" + ns + ",")
			}
		})
	}
	wg.Wait()
	waitFor(t, "the end of all children", func() bool { return io.Stats().Children == 0 && io.NamespaceCount() == 1 })
	if got := len(all.Sockets()); got != 0 {
		t.Errorf("got %d sockets, want none", got)
	}
}

// S2, N11: the children that clients make are bounded, and a full server logs one line.
func TestS2_ChildrenAreBounded(t *testing.T) {
	t.Parallel()
	var lines testlog.Log
	io := newServer(t, socketbridge.Config{Logger: slog.New(slog.NewTextHandler(&lines, nil)), Limits: socketbridge.Limits{MaxChildNamespaces: 3, EventsPerSecond: -1}})
	io.OfPattern(projects)
	c := dial(t, io)
	for i := range 3 {
		c.join(fmt.Sprint("/project-", i))
	}
	for i := 3; i < 20; i++ {
		ns := fmt.Sprint("/project-", i)
		if got, want := c.refused(ns, ""), "4"+ns+`,{"data":{"code":"too_many","message":"too many namespaces"},"message":"too many namespaces"}`; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	d := join(t, io, "/project-0") // an existing one
	if got := strings.Count(lines.String(), "Config.Limits.MaxChildNamespaces"); got != 1 {
		t.Errorf("got %d log lines that name the setting, want 1:\n%s", got, &lines)
	}
	io.Of("/project-99") // the app is not bounded
	c.send("1/project-1,")
	waitFor(t, "the removal of the empty child", func() bool { return io.Stats().Children == 3 })
	c.send("1/project-2,")
	waitFor(t, "the removal of the empty child", func() bool { return io.Stats().Children == 2 })
	d.join("/project-50")
}

// A client that is disconnected from many namespaces which it named itself takes bounded
// memory, and a handshake that is refused leaves no child.
func TestS2_RefusedClientsLeaveNoChild(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1}})
	all := io.OfPattern(regexp.MustCompile(`/x.*`))
	all.Use(func(c *socketbridge.Connect) error {
		if strings.HasPrefix(c.Socket().Namespace().Name(), "/xno") {
			return &socketbridge.ConnectError{Message: "no"}
		}
		return c.Next()
	})
	all.OnConnection(func(s *socketbridge.Socket) { s.Disconnect() })
	c := dial(t, io)
	for i := range 300 {
		if ns := fmt.Sprint("/xno", i); i < 100 { // more refusals would close the connection
			if got, want := c.refused(ns, ""), "4"+ns+`,{"message":"no"}`; got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		ns := fmt.Sprint("/x", i)
		c.join(ns)
		c.expect("1" + ns + ",")
	}
	waitFor(t, "the removal of all children", func() bool { return io.Stats().Children == 0 })
	if got := io.KickedNames(); got > 2*64 {
		t.Errorf("the client has %d namespaces that it was disconnected from, want at most 128", got)
	}
}

// S2: OnNewNamespace sees each namespace before its first client, once.
func TestS2_OnNewNamespace(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	seen := make(events, 8)
	release := make(chan struct{})
	io.OnNewNamespace(func(ns *socketbridge.Namespace) {
		seen.add("new %s", ns.Name())
		if ns.Name() == "/project-1" {
			<-release
		}
	})
	io.OfPattern(projects).OnConnection(func(s *socketbridge.Socket) { seen.add("connection") })
	io.Of("/static")
	seen.expect(t, "new /static")
	joined := make(chan struct{})
	for range 2 {
		go func() { // ends when release is closed
			defer func() { joined <- struct{}{} }()
			c := dial(t, io)
			_ = c.conn.Text("0/project-1,")
		}()
	}
	seen.expect(t, "new /project-1")
	select {
	case got := <-seen:
		t.Errorf("before the handler has returned: %s", got)
	default:
	}
	close(release)
	<-joined
	<-joined
	seen.expect(t, "connection", "connection")
}

// S2, S3: the official clients join children, on two nodes of one cluster, with a session
// of a ticket and of a cookie, and are recovered there.
func TestS2_ChildrenInACluster(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	hub := adapter.NewMemory()
	var sites []*site
	for range 2 {
		s := newSite(t, options{
			sessions: fibersession.Config{UserKey: "user"},
			bridge:   socketbridge.Config{Adapter: hub.Join(), Recovery: socketbridge.Recovery{Window: time.Minute}},
		}).users()
		all := s.io.OfPattern(projects)
		all.On("say", func(p *socketbridge.Packet) error {
			if err := p.Socket().Namespace().Emit("said", p.Socket().User()); err != nil {
				return err
			}
			return p.Ack(p.Socket().Recovered())
		})
		sites = append(sites, s.serve())
	}
	waitForLinks(t, sites[0].io, sites[1].io)
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			near := sites[0].loggedIn("ann").connect(n, "/project-1", o)
			o.Auth = withTicket(sites[1].loggedIn("bob").ticket(""))
			far := n.Connect(t, sites[1].url+"/project-1", o) // no cookie
			near.MustCall("say")
			equal(t, "event on the other node", string(far.MustNext("said")[0]), `"ann"`)
			far.MustCall("say")
			equal(t, "event of a session by ticket", string(near.MustNext("said")[0]), `"ann"`)
			equal(t, "event of a session by ticket", string(near.MustNext("said")[0]), `"bob"`)
			near.Close()
			far.Close()
		})
	}
	c := sites[0].loggedIn("ann").connect(n, "/project-2", nodetest.Options{Transports: []string{"websocket"}, Reconnect: true})
	equal(t, "first connection", call(t, c, "say"), "false")
	id := c.State().ID
	c.Cut() // the child has no sockets for a moment
	c.MustNext(nodetest.Disconnected)
	c.MustNext(nodetest.Connected)
	equal(t, "recovered", call(t, c, "say"), "true")
	equal(t, "ID", c.State().ID, id)
}
