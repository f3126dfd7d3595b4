package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// noticeCase provokes one kind of notice, at least twice, on a fake clock.
type noticeCase struct {
	cfg socketbridge.Config
	do  func(t *testing.T, e *noticeEnv)
}

// withSessions are the cases whose sockets have sessions.
var withSessions = []string{"session_ended", "session_renewed", "policy_invalid", "session_changes_lost"}

// noticeEnv is a server whose log is checked.
type noticeEnv struct {
	io      *socketbridge.Server
	store   *fibersession.Store
	st      *faulty.Storage
	adapter *deliverAdapter // nil without Config.Adapter
}

// twice runs do two times.
func twice(do func()) { do(); do() }

// badJSON cannot be encoded.
type badJSON struct{}

func (badJSON) MarshalJSON() ([]byte, error) { return nil, errors.New("no JSON") }

// session returns a handle of a new stored session.
func (e *noticeEnv) session(t *testing.T) *fibersession.Handle {
	return newStoredSession(t, e.store, map[string]any{"n": 1})
}

// withNodes marks a case that needs an adapter. Each run gets its own.
var withNodes = socketbridge.Config{Adapter: new(deliverAdapter)}

var noticeCases = map[string]noticeCase{
	"flood": {do: func(t *testing.T, e *noticeEnv) {
		twice(func() {
			p := join(t, e.io, "/")
			p.conn.Leave(transport.ForcedClose, socketbridge.ErrFlood)
			p.waitForClose()
		})
	}},
	"parse_error": {do: func(t *testing.T, e *noticeEnv) {
		for _, text := range []string{"9", `2["e"`, "/", "\x00"} {
			p := join(t, e.io, "/")
			if err := p.conn.Text(text); err == nil {
				t.Errorf("%q was accepted", text)
			}
			p.waitForClose()
		}
	}},
	"ping_timeout":    {do: endWith(transport.PingTimeout)},
	"transport_error": {do: endWith(transport.TransportError)},
	"transport_close": {do: endWith(transport.TransportClose)},
	"closed_by_server": {do: func(t *testing.T, e *noticeEnv) {
		twice(func() { p := join(t, e.io, "/"); e.io.Of("/").Socket(p.sid).Close(); p.waitForClose() })
	}},
	"connect_timeout": {do: func(t *testing.T, e *noticeEnv) { twice(func() { dial(t, e.io).waitForClose() }) }},
	"attachments_missing": {do: func(t *testing.T, e *noticeEnv) {
		twice(func() {
			p := join(t, e.io, "/")
			p.send(`51-["e",{"_placeholder":true,"num":0}]`)
			p.waitForClose()
		})
	}},
	"namespace_unknown": {do: func(t *testing.T, e *noticeEnv) {
		twice(func() { p := dial(t, e.io); p.send("0/none,"); p.next() })
	}},
	"connect_flood": {do: func(t *testing.T, e *noticeEnv) {
		twice(func() {
			p := dial(t, e.io)
			for range 129 {
				p.send("0/none,")
				p.next()
			}
		})
	}},
	"early_full": {do: func(t *testing.T, e *noticeEnv) {
		megabyte := strings.Repeat("x", 1<<20)
		e.io.Of("/").Use(func(c *socketbridge.Connect) error {
			for range 66 {
				_ = c.Socket().Emit("e", megabyte)
			}
			return c.Next()
		})
		twice(func() { p := dial(t, e.io); p.send("0"); p.waitForClose() })
	}},
	"too_many_namespaces": {do: func(t *testing.T, e *noticeEnv) {
		p := dial(t, e.io)
		for i := range 66 {
			name := fmt.Sprintf("/n%d", i)
			e.io.Of(name)
			p.send("0" + name + ",")
			p.next()
		}
	}},
	"connect_refused": {do: func(t *testing.T, e *noticeEnv) {
		e.io.Of("/").Use(func(*socketbridge.Connect) error { return errors.New("not you") })
		twice(func() { p := dial(t, e.io); p.send("0"); p.next() })
	}},
	"connect_error_data": {do: func(t *testing.T, e *noticeEnv) {
		e.io.Of("/").Use(func(*socketbridge.Connect) error {
			return &socketbridge.ConnectError{Message: "no", Data: badJSON{}}
		})
		twice(func() { p := dial(t, e.io); p.send("0"); p.next() })
	}},
	"session_invalid": {do: func(t *testing.T, e *noticeEnv) {
		e.io.Of("/").RequireSession().OnInvalidSession(func(*socketbridge.Socket, error) {})
		twice(func() { p := dial(t, e.io); p.send("0"); p.next(); p.next() })
	}},
	"session_ended": {do: func(t *testing.T, e *noticeEnv) {
		twice(func() {
			h := e.session(t)
			p := joinAs(t, e.io, "/", h)
			own := h.Detach()
			defer own.Release()
			if err := own.Destroy(context.Background()); err != nil {
				t.Error(err)
			}
			p.next()
		})
	}},
	"session_renewed": {socketbridge.Config{OnRegenerate: socketbridge.Always(socketbridge.ActionDisconnect)}, renewTwice},
	"policy_invalid":  {socketbridge.Config{OnRegenerate: socketbridge.Always(99)}, renewTwice},
	"session_changes_lost": {do: func(t *testing.T, e *noticeEnv) {
		e.io.OnConnection(func(s *socketbridge.Socket) {
			e.st.SetPlan(faulty.OnMethod("CompareAndSwap", faulty.Fault{Fail: errors.New("down")}))
			s.Session().Set("lost", 1)
		})
		twice(func() {
			e.st.SetPlan(nil)
			joinAs(t, e.io, "/", e.session(t))
			synctest.Wait()
		})
		e.st.SetPlan(nil)
	}},
	"handler_error": {do: func(t *testing.T, e *noticeEnv) {
		e.io.On("e", func(*socketbridge.Packet) error { return errors.New("wrong") })
		twice(func() { p := join(t, e.io, "/"); p.send(`21["e"]`); p.next() })
	}},
	"handler_panic": {do: func(t *testing.T, e *noticeEnv) {
		e.io.On("e", func(*socketbridge.Packet) error { panic("wrong") })
		twice(func() { p := join(t, e.io, "/"); p.send(`21["e"]`); p.next() })
	}},
	"answer_data": {do: func(t *testing.T, e *noticeEnv) {
		e.io.On("e", func(*socketbridge.Packet) error { return &socketbridge.EventError{Code: "mine", Data: badJSON{}} })
		twice(func() { p := join(t, e.io, "/"); p.send(`21["e"]`); p.next() })
	}},
	"bad_arguments": {do: func(t *testing.T, e *noticeEnv) {
		e.io.On("e", func(p *socketbridge.Packet) error { return p.Bind(new(int)) })
		p := join(t, e.io, "/")
		twice(func() { p.send(`21["e","text"]`); p.next() })
	}},
	"invalid_argument": {do: func(t *testing.T, e *noticeEnv) {
		contract.Event[map[string]int, contract.None]("e").Handle(e.io, func(*socketbridge.Packet, map[string]int) (contract.None, error) {
			return contract.None{}, nil
		})
		p := join(t, e.io, "/")
		twice(func() { p.send(`21["e",{"secret":"secret"}]`); p.next() })
	}},
	"packet_refused": {do: func(t *testing.T, e *noticeEnv) {
		p := join(t, e.io, "/")
		twice(func() { p.send(`21["e"` + strings.Repeat(",1", 100) + `]`); p.next() })
	}},
	"too_many_children": {socketbridge.Config{Limits: socketbridge.Limits{MaxChildNamespaces: 1}}, func(t *testing.T, e *noticeEnv) {
		e.io.OfPattern(regexp.MustCompile("/room-[0-9]+"))
		p := dial(t, e.io)
		for i := range 3 {
			p.send(fmt.Sprintf("0/room-%d,", i))
			p.next()
		}
	}},
	"event_dropped": {do: func(t *testing.T, e *noticeEnv) {
		e.io.On("e", func(p *socketbridge.Packet) error { p.Socket().Disconnect(); return nil })
		p := join(t, e.io, "/")
		p.send(`2["e"]`)
		p.expect("1")
		twice(func() { p.send(`2["e"]`) })
	}},
	"event_unhandled": {do: func(t *testing.T, e *noticeEnv) {
		p := join(t, e.io, "/")
		twice(func() { p.send(`2["e"]`) })
	}},
	"event_unanswered": {do: func(t *testing.T, e *noticeEnv) {
		e.io.On("e", func(*socketbridge.Packet) error { return nil })
		p := join(t, e.io, "/")
		twice(func() { p.send(`21["e"]`) })
	}},
	"handler_slow": {do: func(t *testing.T, e *noticeEnv) {
		e.io.On("e", func(*socketbridge.Packet) error { time.Sleep(41 * time.Second); return nil })
		stay, leave := join(t, e.io, "/"), join(t, e.io, "/")
		stay.send(`2["e"]`)
		leave.send(`2["e"]`)
		leave.leave() // its handler runs on
		time.Sleep(45 * time.Second)
		stay.send(`2["e"]`)
		time.Sleep(45 * time.Second)
	}},
	"inbox_full": {socketbridge.Config{Limits: socketbridge.Limits{MaxInbox: 1}}, func(t *testing.T, e *noticeEnv) {
		e.io.On("e", func(*socketbridge.Packet) error { time.Sleep(time.Second); return nil })
		p := join(t, e.io, "/")
		for range 5 {
			p.send(`2["e"]`)
		}
	}},
	"ack_unexpected": {do: func(t *testing.T, e *noticeEnv) {
		p := join(t, e.io, "/")
		twice(func() { p.send(`399[]`) })
	}},
	"ack_unasked": {do: func(t *testing.T, e *noticeEnv) {
		e.io.On("e", func(p *socketbridge.Packet) error { return p.Ack("unheard") })
		p := join(t, e.io, "/")
		twice(func() { p.send(`2["e"]`) })
		synctest.Wait()
	}},
	"volatile_dropped": {do: func(t *testing.T, e *noticeEnv) {
		p := join(t, e.io, "/")
		p.conn.SetReady(false)
		twice(func() { _ = e.io.Of("/").Broadcast().Volatile().Emit("e") })
	}},
	"leave_ignored": {do: func(t *testing.T, e *noticeEnv) {
		p := join(t, e.io, "/")
		s := onlySocket(t, e.io)
		twice(func() { s.Leave(p.sid); s.Leave("fiberbridge:user:x") })
	}},
	"node_message_malformed": {withNodes, func(t *testing.T, e *noticeEnv) {
		n := e.node()
		twice(func() {
			n.Deliver(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte("{}")}})
		})
		n.Deliver(&adapter.Message{Kind: 99, Namespace: "/"})
	}},
	"node_namespace_unknown": {withNodes, func(t *testing.T, e *noticeEnv) {
		n := e.node()
		twice(func() { n.Deliver(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/none"}) })
	}},
	"node_join_failed": {withNodes, func(t *testing.T, e *noticeEnv) {
		join(t, e.io, "/")
		n := e.node()
		twice(func() { n.Deliver(&adapter.Message{Kind: adapter.Join, Namespace: "/", Targets: []string{""}}) })
	}},
	"server_event_unhandled": {withNodes, func(t *testing.T, e *noticeEnv) {
		n := e.node()
		twice(func() { n.Deliver(serverEvent) })
	}},
	"server_event_dropped": {withNodes, func(t *testing.T, e *noticeEnv) {
		hold := make(chan struct{})
		e.io.Of("/").OnServerSideEmit("e", func(*socketbridge.ServerEvent) { <-hold })
		n := e.node()
		for range 1026 {
			n.Deliver(serverEvent)
		}
		close(hold)
	}},
	"recovery_refused": {socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}}, func(t *testing.T, e *noticeEnv) {
		twice(func() { p := dial(t, e.io); p.send(`0{"pid":"unknown","offset":"x"}`); p.next() })
	}},
}

var serverEvent = &adapter.Message{Kind: adapter.ServerSide, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}

// endWith ends two connections for a reason of the transport.
func endWith(reason transport.Reason) func(t *testing.T, e *noticeEnv) {
	return func(t *testing.T, e *noticeEnv) {
		twice(func() {
			p := join(t, e.io, "/")
			p.conn.Leave(reason, errors.New("the network failed"))
			p.waitForClose()
		})
	}
}

// renewTwice gives a new ID to the sessions of two sockets.
func renewTwice(t *testing.T, e *noticeEnv) {
	twice(func() {
		h := e.session(t)
		p := joinAs(t, e.io, "/", h)
		own := h.Detach()
		defer own.Release()
		if err := own.Regenerate(context.Background()); err != nil {
			t.Error(err)
		}
		p.next()
	})
}

// run runs a case and returns the log.
func (c noticeCase) run(t *testing.T, sessions bool, check func(e *noticeEnv, log *noticetest.Log)) {
	var log noticetest.Log
	cfg := c.cfg
	cfg.Logger = log.Logger()
	if !sessions {
		cfg.Mode = socketbridge.SessionNone
	}
	var node *deliverAdapter
	if cfg.Adapter != nil {
		node = &deliverAdapter{running: make(chan adapter.Node, 1)}
		cfg.Adapter = node
	}
	withFakeClockAndStorage(t, fibersession.Config{}, cfg, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server, st *faulty.Storage) {
		e := &noticeEnv{io: io, store: store, st: st, adapter: node}
		c.do(t, e)
		synctest.Wait()
		check(e, &log)
	})
}

// deliverAdapter gives a test the node of its server.
type deliverAdapter struct {
	failingAdapter
	running chan adapter.Node
}

func (a *deliverAdapter) Run(ctx context.Context, n adapter.Node) error {
	a.running <- n
	<-ctx.Done()
	return ctx.Err()
}

func (e *noticeEnv) node() adapter.Node { return <-e.adapter.running }

// stoppedAdapter cannot work at all.
type stoppedAdapter struct{ failingAdapter }

func (*stoppedAdapter) Run(context.Context, adapter.Node) error { return errors.New("no permission") }

func TestS6_AStoppedAdapterIsReported(t *testing.T) {
	t.Parallel()
	var log noticetest.Log
	io := newServer(t, socketbridge.Config{Adapter: new(stoppedAdapter), Logger: log.Logger()})
	waitFor(t, "the report", func() bool { return io.Stats().Notices["adapter_stopped"] == 1 && log.Has("no permission") })
	log.Check(t, noticetest.Declared(t, ".")["adapter_stopped"], io.Stats().Notices)
}

// Each kind is counted, and logged in one line that names the setting, and no session ID.
func TestS6_Notices(t *testing.T) {
	t.Parallel()
	kinds := noticetest.Declared(t, ".")
	for name, c := range noticeCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t, slices.Contains(withSessions, name), func(e *noticeEnv, log *noticetest.Log) {
				log.Check(t, kinds[name], e.io.Stats().Notices, "secret")
				if got := e.io.Stats().Notices[name]; got < 2 {
					t.Errorf("counted %d times, want at least 2", got)
				}
			})
		})
	}
}

func TestS6_EveryNoticeIsProvoked(t *testing.T) {
	t.Parallel()
	noticetest.Asserted(t, ".", slices.Collect(maps.Keys(noticeCases))...)
}

// What a client can cause a thousand times, with names of its own choice, is logged in at
// most 11 lines.
func TestS6_AFloodIsLoggedInBounds(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]func(i int) string{
		"namespace_unknown": func(i int) string { return fmt.Sprintf("0/made-up-%d,", i) },
		"handler_error":     func(i int) string { return fmt.Sprintf(`2["made-up-%d"]`, i) },
		"ack_unexpected":    func(i int) string { return fmt.Sprintf(`3%d[]`, i) },
		"event_dropped":     func(i int) string { return `2/gone,["e"]` },
		"connect_refused":   func(i int) string { return fmt.Sprintf(`0/closed,{"n":%d}`, i) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := noticeCase{cfg: socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1}}, do: func(t *testing.T, e *noticeEnv) {
				e.io.OnConnection(func(s *socketbridge.Socket) {
					s.Use(func(*socketbridge.Packet) error { return errors.New("refused") })
				})
				e.io.Of("/gone").OnConnection(func(s *socketbridge.Socket) { s.Disconnect() })
				e.io.Of("/closed").Use(func(*socketbridge.Connect) error { return errors.New("closed") })
				p := join(t, e.io, "/")
				if name == "event_dropped" {
					p.send("0/gone,")
					p.next()
					p.next()
				}
				for i := range 1000 {
					p.send(text(i))
					if name == "namespace_unknown" || name == "connect_refused" {
						p.next()
						if i%100 == 99 { // more refusals would close the connection
							p.leave()
							p = dial(t, e.io)
						}
					}
				}
			}}
			c.run(t, false, func(e *noticeEnv, log *noticetest.Log) {
				if lines := log.Lines(name); len(lines) == 0 || len(lines) > 11 {
					t.Errorf("%d lines are logged, want 1 to 11", len(lines))
				}
				if got := e.io.Stats().Notices[name]; got != 1000 {
					t.Errorf("counted %d times, want 1000", got)
				}
			})
		})
	}
}

// A client that makes up event names does not keep the first error of the app's own event
// from the log.
func TestS6_TheFirstErrorOfEachEventIsLogged(t *testing.T) {
	t.Parallel()
	c := noticeCase{do: func(t *testing.T, e *noticeEnv) {
		e.io.OnConnection(func(s *socketbridge.Socket) {
			s.Use(func(p *socketbridge.Packet) error { return errors.New("refused") })
		})
		e.io.On("pay", func(*socketbridge.Packet) error { return nil })
		p := join(t, e.io, "/")
		for i := range 100 {
			p.send(fmt.Sprintf(`2["made-up-%d"]`, i))
		}
		p.send(`2["pay"]`)
	}}
	c.run(t, false, func(_ *noticeEnv, log *noticetest.Log) {
		if lines := log.Lines("handler_error"); len(lines) != 2 || !strings.Contains(lines[1], "event=pay") {
			t.Errorf("want a line of the first made-up event, and one of the app's:\n%s", strings.Join(lines, ""))
		}
	})
}

// Text of a client can neither begin a line nor fill one.
func TestS6_NamesOfClientsAreCut(t *testing.T) {
	t.Parallel()
	name := "/\n" + strings.Repeat("x", 200)
	c := noticeCase{do: func(t *testing.T, e *noticeEnv) { p := dial(t, e.io); p.send("0" + name + ","); p.next() }}
	c.run(t, false, func(_ *noticeEnv, log *noticetest.Log) {
		lines := log.Lines("namespace_unknown")
		if len(lines) != 1 || len(lines[0]) > 600 || !strings.Contains(lines[0], `/\\nxxx`) || !strings.Contains(lines[0], "more bytes") || !strings.Contains(lines[0], "remote=192.0.2.1") {
			t.Errorf("the log is:\n%s", log)
		}
	})
}

// What is refused before there is a socket: tickets, cookie URLs, handshakes.
func TestS6_RefusedRequests(t *testing.T) {
	t.Parallel()
	var log noticetest.Log
	st := faulty.New(memory.New(), nil)
	t.Cleanup(func() { _ = st.Close() })
	s := newSite(t, options{sessions: fibersession.Config{Storage: st}, log: log.Logger()}).counter().serve()
	a := s.agent()
	a.post("/incr")
	kinds := noticetest.Declared(t, ".")
	const handshake = "/socket.io/?EIO=4&transport=polling"
	for _, tt := range []struct {
		name   string
		status int
		try    func() int
	}{
		{"ticket_refused", 401, func() int { _, status, _ := s.agent().try("POST", "/socket.io/ticket"); return status }},
		{"cookie_url_refused", 403, func() int { _, status, _ := a.try("POST", "/socket.io/cookie/none"); return status }},
		{"handshake_session_failed", 200, func() int {
			st.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("down")}))
			defer st.SetPlan(nil)
			_, status, _ := a.try("GET", handshake)
			return status
		}},
		{"refused_at_shutdown", 503, func() int { shutdown(t, s.io); _, status, _ := a.try("GET", handshake); return status }},
	} {
		twice(func() {
			if status := tt.try(); status != tt.status {
				t.Errorf("%s: got status %d, want %d", tt.name, status, tt.status)
			}
		})
		log.Check(t, kinds[tt.name], s.io.Stats().Notices, a.sessionID())
	}
}
