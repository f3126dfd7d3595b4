package engineio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Server is an Engine.IO server. Make one with New, mount its Handler with
// app.Use, and end it with Shutdown. All methods are safe for concurrent use.
type Server struct {
	cfg       Config // with defaults
	hooks     Hooks
	log       *slog.Logger
	acceptor  transport.Acceptor
	origins   originPolicy
	cors      corsHeaders
	admission admission
	random    io.Reader // of IDs; tests let it fail
	begun     time.Time

	chain chain

	refusals refusals
	warnOnce sync.Once
	warned   atomic.Int64 // when it was last said that there are too many connections, in Unix seconds
	stats    counters

	mu      sync.RWMutex // guards what follows
	conns   map[string]*conn
	live    int // connections and WebSockets of which something runs
	closing bool
	ended   chan struct{} // closed when closing and nothing lives
}

// counters are what Stats cannot count.
type counters struct {
	polls      atomic.Int64
	posts      atomic.Int64
	webSockets atomic.Int64
}

// New makes a server that passes its connections to a. hooks is optional; only the first
// one counts. It panics if the configuration is not valid: see Config.WithDefaults.
func New(a transport.Acceptor, config Config, hooks ...Hooks) *Server {
	cfg := config.WithDefaults()
	s := &Server{
		cfg:       cfg,
		log:       cfg.Logger,
		acceptor:  a,
		origins:   newOriginPolicy(cfg),
		cors:      newCORSHeaders(cfg),
		admission: admission{maxConns: cfg.Limits.MaxConns, maxPerIP: cfg.Limits.MaxConnsPerIP, rate: cfg.Limits.ConnRatePerIP},
		random:    rand.Reader,
		begun:     time.Now(),
		conns:     make(map[string]*conn),
		ended:     make(chan struct{}),
	}
	if len(hooks) > 0 {
		s.hooks = hooks[0]
	}
	if cfg.AllowAnyOrigin {
		s.log.Warn("engineio: AllowAnyOrigin is set: pages of every origin can connect, and cookies are ignored")
	}
	return s
}

// now tells the time since the server was made: a third of a time.Time, of which a
// connection keeps several.
func (s *Server) now() time.Duration { return time.Since(s.begun) }

// Path returns the path that the server is found at, with its last slash.
func (s *Server) Path() string { return s.cfg.Path }

// Use adds middlewares that run for every HTTP request of the server that is well
// formed and may come from where it comes: handshakes, polls, posts and upgrades,
// in order, before anything is done. One passes on with c.Next(); headers and cookies that it
// sets go out with that response. One that does not pass on has answered. (It is
// engine.use of the reference server.)
//
// They run in a Fiber app of their own with the configuration of yours: locals and
// the request are shared, c itself and its route are not.
func (s *Server) Use(handlers ...fiber.Handler) { s.chain.add(handlers) }

// Stats counts what a server holds at present.
type Stats struct {
	Connections int // open, opening and closing
	Polls       int // polling requests that wait
	Posts       int // polling requests that are being read
	WebSockets  int // WebSockets that are open, those of upgrades under way included
	Addresses   int // addresses that are counted against MaxConnsPerIP and ConnRatePerIP
}

// Stats returns the present counts. A while after the last client has gone, all are 0,
// but for Addresses: one whose rate was not yet forgotten is, when another comes.
func (s *Server) Stats() Stats {
	st := Stats{
		Polls:      int(s.stats.polls.Load()),
		Posts:      int(s.stats.posts.Load()),
		WebSockets: int(s.stats.webSockets.Load()),
	}
	s.mu.RLock()
	st.Connections = len(s.conns)
	s.mu.RUnlock()
	s.admission.mu.Lock()
	st.Addresses = len(s.admission.visitors)
	s.admission.mu.Unlock()
	return st
}

// Shutdown refuses new connections with 503, closes all with the reason "server
// shutting down" when what is queued was sent, and returns when nothing runs any
// more. When ctx ends first, connections are ended as they are and its error is
// returned. A second call waits for the same end.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		if s.live == 0 {
			close(s.ended)
		}
	}
	s.mu.Unlock()
	for _, c := range s.all() {
		c.Close(transport.ShuttingDown)
	}
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
	}
	for _, c := range s.all() {
		c.end(transport.ShuttingDown, ctx.Err())
	}
	return fmt.Errorf("engineio: shutdown was cut short: %w", ctx.Err())
}

func (s *Server) all() []*conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	return all
}

// add makes a connection and counts it. It is the last step before the connection
// lives on its own.
func (s *Server) add(request snapshot, addr netip.Addr, transportName string) (*conn, error) {
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, errShuttingDown
	}
	s.live++
	c := newConn(s, id, request, addr, transportName)
	s.conns[id] = c
	return c, nil
}

// remove forgets a connection of which nothing runs any more but its caller.
func (s *Server) remove(c *conn) {
	s.admission.leave(c.addr, time.Now())
	s.mu.Lock()
	delete(s.conns, c.id)
	s.mu.Unlock()
	c.done.Fire()
	s.leave()
}

// enter counts something that runs, for Shutdown to wait for. It returns false when
// Shutdown has waited already.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing && s.live == 0 {
		return false
	}
	s.live++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live--; s.live == 0 && s.closing {
		close(s.ended)
	}
}

// lookup returns the connection with that ID, or nil.
func (s *Server) lookup(id string) *conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.conns[id]
}

func (s *Server) isClosing() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closing
}

// newID draws 144 random bits: whoever knows a connection's ID and has its
// session's cookie can use it.
func (s *Server) newID() (string, error) {
	var b [18]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		s.log.Error("engineio: no connection without randomness", "error", err)
		return "", errInternal
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// openJSON is the content of the open packet.
func (s *Server) openJSON(id, transportName string) []byte {
	upgrades := []string{}
	if transportName == Polling && !s.cfg.DisableUpgrades && s.serves(WebSocket) {
		upgrades = append(upgrades, WebSocket)
	}
	b, _ := json.Marshal(struct { // of such a type it cannot fail
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{id, upgrades, s.cfg.PingInterval.Milliseconds(), s.cfg.PingTimeout.Milliseconds(), s.cfg.MaxPayload})
	return b
}

func (s *Server) serves(transportName string) bool {
	for _, t := range s.cfg.Transports {
		if t == transportName {
			return true
		}
	}
	return false
}
