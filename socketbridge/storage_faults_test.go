package socketbridge_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// The store fails, hangs or loses its answer while a session is lifted, loaded or saved. The client gets a stable code, the log gets a line without the session ID,
// other sockets work, and the session works again when the store does.
func TestStoreFaults(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	broken := errors.New("broken")
	faults := map[string]faulty.Fault{"fails": {Fail: broken}, "hangs": {Hang: true}, "loses its answer": {Lose: broken}}
	unavailable := map[string]string{"fails": "session_unavailable", "hangs": "session_unavailable", "loses its answer": "session_unavailable"}
	for _, tt := range []struct {
		name   string
		method string
		mode   socketbridge.SessionMode
		codes  map[string]string
	}{
		{"lift", "Load", socketbridge.SessionPerPacket, unavailable},
		{"reload", "Load", socketbridge.SessionPerPacket, unavailable},
		{"save", "CompareAndSwap", socketbridge.SessionPerPacket, map[string]string{
			"fails": "session_unavailable", "hangs": "unknown_outcome", "loses its answer": "unknown_outcome",
		}},
	} {
		for how, fault := range faults {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				t.Parallel()
				st := faulty.New(memory.New(), nil)
				t.Cleanup(func() { _ = st.Close() })
				var logged testlog.Log
				s := newSite(t, options{
					sessions: fibersession.Config{Storage: st}, bridge: socketbridge.Config{Mode: tt.mode, DisableTouch: true},
					log: slog.New(slog.NewTextHandler(&logged, nil)),
				}).sessionRoutes().serve()
				a, b := s.member(), s.member()
				var key atomic.Value // the key of a's session
				st.SetPlan(func(c faulty.Call) faulty.Fault {
					if c.Method == "Load" {
						key.Store(c.Key)
					}
					return faulty.Fault{}
				})
				a.get("/name")
				st.SetPlan(nil)
				other := b.connect(n, "/", nodetest.Options{})
				var c *nodetest.Client
				if tt.name != "lift" {
					c = a.connect(n, "/", nodetest.Options{})
				}
				st.SetPlan(func(c faulty.Call) faulty.Fault {
					if c.Method == tt.method && c.Key == key.Load() {
						return fault
					}
					return faulty.Fault{}
				})
				switch tt.name {
				case "lift":
					c = n.Dial(t, s.url, nodetest.Options{Cookie: a.cookie()})
					expectRefusal(t, c, tt.codes[how])
				default:
					var e struct{ Error struct{ Code string } }
					c.MustCall("rename", "bob").Bind(t, &e)
					equal(t, "error code of the event", e.Error.Code, tt.codes[how])
				}
				equal(t, "event of another session", call(t, other, "rename", "eve"), "true")
				st.SetPlan(nil)
				if tt.name == "lift" {
					c = a.connect(n, "/", nodetest.Options{})
				}
				equal(t, "event after the store recovered", call(t, c, "rename", "bob"), "true")
				equal(t, "name over HTTP", a.get("/name"), "bob")
				switch text := logged.String(); {
				case !strings.Contains(text, "socketbridge: "):
					t.Errorf("got log %q, want a line of socketbridge", text)
				case strings.Contains(text, a.sessionID()), strings.Contains(text, key.Load().(string)):
					t.Error("the log contains a session's ID or storage key")
				}
			})
		}
	}
}

// A touch that the store refuses, or does not answer, fails no event: it only extends the
// session's life.
func TestStoreFaults_Touch(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	broken := errors.New("broken")
	for how, fault := range map[string]faulty.Fault{"fails": {Fail: broken}, "hangs": {Hang: true}, "loses its answer": {Lose: broken}} {
		for name, mode := range map[string]socketbridge.SessionMode{"per packet": socketbridge.SessionPerPacket, "per connection": socketbridge.SessionPerConnection, "manual": socketbridge.SessionManual} {
			t.Run(how+", "+name, func(t *testing.T) {
				t.Parallel()
				st := faulty.New(memory.New(), nil)
				t.Cleanup(func() { _ = st.Close() })
				var logged testlog.Log
				s := newSite(t, options{
					sessions: fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{TouchInterval: 1}},
					bridge:   socketbridge.Config{Mode: mode},
					log:      slog.New(slog.NewTextHandler(&logged, nil)),
				}).sessionRoutes().serve()
				a := s.member()
				c := a.connect(n, "/", nodetest.Options{})
				st.SetPlan(faulty.OnMethod("CompareAndSwap", fault))
				for range 3 {
					equal(t, "event while touches fail", call(t, c, "name"), `"ann"`)
				}
				equal(t, "page while touches fail", a.get("/name"), "ann")
				st.SetPlan(nil)
				equal(t, "event after the store recovered", call(t, c, "rename", "bob"), "true")
				const line = "did not accept a write that extends a session"
				if text := logged.String(); strings.Count(text, line) != 1 || strings.Contains(text, a.sessionID()) {
					t.Errorf("got log %q, want one line with %q and without the session's ID", text, line)
				}
			})
		}
	}
}

// Redis is at maxmemory: events that read are handled, events that write get an error, and
// all sockets stay connected.
func TestStoreFaults_RedisAtMaxmemory(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	s := newSite(t, options{storage: server.URL(), sessions: fibersession.Config{UserKey: "name", Timeouts: fibersession.Timeouts{TouchInterval: 1}}}).sessionRoutes().serve()
	a := s.member()
	c := a.connect(n, "/", nodetest.Options{})
	server.Do("config", "set", "maxmemory", "1")
	for range 3 {
		equal(t, "event at maxmemory", call(t, c, "name"), `"ann"`)
		equal(t, "page at maxmemory", a.get("/name"), "ann")
	}
	var e struct{ Error struct{ Code string } }
	c.MustCall("rename", "bob").Bind(t, &e)
	equal(t, "error code of an event that writes", e.Error.Code, "session_unavailable")
	second := a.connect(n, "/", nodetest.Options{}) // a handshake reads, too
	equal(t, "event of a socket that connected at maxmemory", call(t, second, "name"), `"ann"`)
	server.Do("config", "set", "maxmemory", "0")
	equal(t, "event after Redis got memory", call(t, c, "rename", "bob"), "true")
}
