package engineio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/httpbody"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Server is an Engine.IO server. Create one with New, mount its Handler with app.Use, and
// end it with Shutdown. All methods are safe for concurrent use.
type Server struct {
	cfg         Config // with defaults
	hooks       Hooks
	log         *slog.Logger // for lines at start; all others go through notices
	notices     *notice.Board
	acceptor    transport.Acceptor
	origins     originPolicy
	cors        corsHeaders
	limiter     connLimiter
	rates       *rates // nil without limits
	middlewares middlewareChain
	refusals    refusalHooks
	random      io.Reader // of connection IDs; tests make it fail
	started     time.Time

	flushers []flusher
	opened   atomic.Uint32 // the number of connections so far
	lending  lending
	idle     idleWaits

	settingsWarning sync.Once
	stats           counters
	bodies          httpbody.Budget
	backlog         backlog
	shedding        sync.Mutex    // held during shedBacklog
	nextShed        time.Duration // by now; guarded by shedding

	mu      sync.RWMutex // guards the fields below
	conns   map[string]*conn
	memory  map[transport.Conn]struct{} // connections of clients in memory
	running int                         // connections and WebSockets of which something runs
	closing bool
	refuses bool          // new connections are refused
	ended   chan struct{} // closed when closing is true and running is 0
	cut     bool          // the context of a Shutdown has ended

	lingering map[*lingering]struct{} // nil until there is one
}

// counters hold the counts of Stats that have no other source.
type counters struct {
	polls      atomic.Int64
	posts      atomic.Int64
	webSockets atomic.Int64
	waits      atomic.Int64
	slow       atomic.Int64

	opened      atomic.Int64
	packetsIn   atomic.Int64
	bytesIn     atomic.Int64
	packetsOut  atomic.Int64
	bytesOut    atomic.Int64
	closedMu    sync.Mutex
	closedSince map[transport.Reason]int64
}

// Traffic is what a server has carried since it was created. Packets are Engine.IO messages
// and their binary attachments, without heartbeats and the packets that open, upgrade and
// close connections. Bytes are those of their data.
type Traffic struct {
	Opened     int64                      // connections
	Closed     map[transport.Reason]int64 // connections that were opened before, by the reason of their end
	PacketsIn  int64
	BytesIn    int64
	PacketsOut int64 // that were queued for clients
	BytesOut   int64
}

// Traffic returns the totals.
func (s *Server) Traffic() Traffic {
	t := Traffic{
		Opened:    s.stats.opened.Load(),
		PacketsIn: s.stats.packetsIn.Load(), BytesIn: s.stats.bytesIn.Load(),
		PacketsOut: s.stats.packetsOut.Load(), BytesOut: s.stats.bytesOut.Load(),
	}
	s.stats.closedMu.Lock()
	defer s.stats.closedMu.Unlock()
	t.Closed = maps.Clone(s.stats.closedSince)
	return t
}

// countClosed counts the end of a connection.
func (s *counters) countClosed(r transport.Reason) {
	s.closedMu.Lock()
	defer s.closedMu.Unlock()
	if s.closedSince == nil {
		s.closedSince = make(map[transport.Reason]int64)
	}
	s.closedSince[r]++
}

// New returns a server that passes its connections to a. hooks is optional; only the first
// one counts. New panics if the configuration is not valid: see Config.WithDefaults.
func New(a transport.Acceptor, config Config, hooks ...Hooks) *Server {
	cfg := config.WithDefaults()
	s := &Server{
		cfg:      cfg,
		log:      cfg.Logger,
		notices:  notice.New(cfg.Logger, nodeAttr(hooks)...),
		acceptor: a,
		origins:  newOriginPolicy(cfg),
		cors:     newCORSHeaders(cfg),
		limiter:  connLimiter{maxConns: cfg.Limits.MaxConns, maxPerIP: cfg.Limits.MaxConnsPerIP, rate: cfg.Limits.ConnRatePerIP},
		rates:    newRates(cfg),
		random:   rand.Reader,
		started:  time.Now(),
		conns:    make(map[string]*conn),
		backlog:  backlog{max: cfg.Limits.MaxBacklogBytes},
		ended:    make(chan struct{}),
		flushers: make([]flusher, min(runtime.GOMAXPROCS(0), 1<<8)),
	}
	s.bodies.Max.Store(int64(max(minBodies, 16*cfg.MaxPayload)))
	s.origins.allowFunc = s.containOriginFunc(cfg.AllowOriginFunc)
	if len(hooks) > 0 {
		s.hooks = hooks[0]
	}
	if cfg.AllowAnyOrigin {
		s.log.Warn("engineio: AllowAnyOrigin is set: pages of every origin can connect, and cookies are ignored")
	}
	if s.origins.opaque {
		s.log.Warn(`engineio: AllowOrigins has "null": every page can send this origin, from a sandboxed frame, so cookies are ignored with it`)
	}
	return s
}

// now returns the time since the server was created. It takes a third of the memory of a
// time.Time, and a connection stores several.
func (s *Server) now() time.Duration { return time.Since(s.started) }

// Path returns the URL path of the server, with its trailing slash.
func (s *Server) Path() string { return s.cfg.Path }

// Use adds middlewares that run on every HTTP request of the server: handshakes, polls,
// posts and upgrades. They run in order, after the checks of origin and query, and before
// anything else happens. A middleware calls c.Next to continue; headers and cookies that it
// sets are part of that response. A middleware that does not call c.Next has answered the
// request itself. Use corresponds to engine.use of the reference server.
//
// The middlewares run in a Fiber app of their own, which has the configuration of the app
// that the server is mounted on. They share the request and its locals with your app, but
// not c itself or its route.
func (s *Server) Use(handlers ...fiber.Handler) { s.middlewares.add(handlers) }

// Stats holds the counts of a server: those of the moment, and below them those since the
// server was created.
type Stats struct {
	Connections int // opening, open and closing connections
	Polls       int // polling requests that wait
	Posts       int // polling requests whose body is being read or handled
	BodyBytes   int // bytes of request bodies over 8 KiB that are being read or handled: see LimitBodies
	WebSockets  int // open WebSockets, including those of upgrades in progress
	Addresses   int // addresses that are counted for Limits.MaxConnsPerIP and ConnRatePerIP
	Backlog     int // bytes that count for Limits.MaxBacklogBytes

	Waits      int64 // calls of Conn.Drained that told a sender to wait
	SlowClosed int64 // connections that were closed because the client read too slowly

	// Notices counts what the server also writes to its log, by the names in
	// docs/troubleshooting.md. The log is bounded, the counts are not.
	Notices map[string]uint64
}

// Notice is something that the server refused, dropped, closed, ignored or failed to do.
// docs/troubleshooting.md lists all of them.
type Notice struct {
	Name    string     // the stable name, as in Stats.Notices
	Level   slog.Level // of the line in the log
	Text    string     // what happened
	Setting string     // the fields of Config that decide it, or ""

	args []any
}

// Attrs returns the attributes that the line in the log has. Texts of clients are escaped and
// cut. It is costly, and must not be called after the function of ObserveNotices has returned.
func (n Notice) Attrs() []slog.Attr { return notice.Attrs(n.args) }

// ObserveNotices makes the server call fn with everything that it counts in Stats.Notices,
// also if it is not logged. fn runs on the goroutine of what is reported, so it must not block.
// It must be safe for concurrent use. The server has one such function: each call replaces the
// one before, and nil removes it. socketbridge.Server sets it for Trace.Reported; with such a
// server, use that hook.
func (s *Server) ObserveNotices(fn func(n Notice)) {
	if fn == nil {
		s.notices.Observe(nil)
		return
	}
	s.notices.Observe(func(k *notice.Kind, args []any) {
		fn(Notice{Name: k.Name, Level: k.Level, Text: k.Text, Setting: k.Setting, args: args})
	})
}

// Stats returns the counts. All counts of the moment but Addresses return to 0 shortly after
// the last client has left. Addresses can keep some that had a recent connection until other
// connections arrive.
func (s *Server) Stats() Stats {
	st := Stats{
		Polls:      int(s.stats.polls.Load()),
		Posts:      int(s.stats.posts.Load()),
		WebSockets: int(s.stats.webSockets.Load()),
		BodyBytes:  int(s.bodies.Used()),
		Backlog:    s.backlog.size(),
		Waits:      s.stats.waits.Load(),
		SlowClosed: s.stats.slow.Load(),
		Notices:    s.notices.Counts(),
	}
	s.mu.RLock()
	st.Connections = len(s.conns) + len(s.memory)
	s.mu.RUnlock()
	st.Addresses = s.limiter.len()
	return st
}

// RefuseConnections refuses new connections with 503 from now on, as Shutdown does. The others
// continue, with all their requests and upgrades.
func (s *Server) RefuseConnections() {
	s.mu.Lock()
	s.refuses = true
	s.mu.Unlock()
}

// Shutdown refuses new connections with 503 and closes all others with the reason "server
// shutting down" after their queues have been sent. It returns when nothing runs any more.
// If ctx ends first, Shutdown ends the remaining connections without waiting and returns
// ctx's error. It may be called again, to wait for the end.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.refuses = true
	if !s.closing {
		s.closing = true
		if s.running == 0 {
			close(s.ended)
		}
	}
	s.mu.Unlock()
	for _, c := range s.allConns() {
		c.Close(transport.ShuttingDown)
	}
	s.closeInMemory()
	select {
	case <-s.ended:
		s.lending.watches.Wait()
		s.idle.runs.Wait()
		return nil
	case <-ctx.Done():
	}
	s.cutLingering()
	for _, c := range s.allConns() {
		c.terminate(transport.ShuttingDown, ctx.Err())
	}
	return fmt.Errorf("engineio: shutdown did not finish in time: %w", ctx.Err())
}

func (s *Server) allConns() []*conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	return all
}

// addConn creates a connection and counts it. From then on the connection ends itself: the
// caller has nothing to undo.
func (s *Server) addConn(request snapshot, network netip.Addr, transportName string) (*conn, error) {
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses {
		return nil, ErrShuttingDown
	}
	s.running++
	c := newConn(s, id, request, network, transportName)
	s.conns[id] = c
	return c, nil
}

// removeConn removes a connection of which only the caller still runs.
func (s *Server) removeConn(c *conn) {
	s.limiter.release(c.addr, time.Now())
	s.mu.Lock()
	delete(s.conns, c.id)
	s.mu.Unlock()
	c.done.Fire()
	s.removeRunning()
}

// addRunning counts something that Shutdown must wait for. It returns false if Shutdown has
// already finished waiting.
func (s *Server) addRunning() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing && s.running == 0 {
		return false
	}
	s.running++
	return true
}

func (s *Server) removeRunning() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 && s.closing {
		close(s.ended)
	}
}

// lookup returns the connection with an ID, or nil.
func (s *Server) lookup(id string) *conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.conns[id]
}

func (s *Server) refusesConnections() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.refuses
}

// newID returns an ID of 144 random bits. The ID is a secret: together with the session's
// cookie, it gives access to the connection.
func (s *Server) newID() (string, error) {
	var b [18]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		s.notices.Report(&randomNotice, "", "error", err)
		return "", errInternal
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// upgrades returns the transports to which a polling connection may be upgraded.
func (s *Server) upgrades(c *fiber.Ctx) []string {
	if s.cfg.DisableUpgrades || !s.offers(WebSocket) || !canHijack(c) {
		return nil
	}
	return []string{WebSocket}
}

// openPacketJSON returns the content of the open packet.
func (s *Server) openPacketJSON(id string, upgrades []string) []byte {
	if upgrades == nil {
		upgrades = []string{} // not null
	}
	b, _ := json.Marshal(struct { // a value of this type cannot fail to marshal
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{id, upgrades, s.cfg.PingInterval.Milliseconds(), s.cfg.PingTimeout.Milliseconds(), s.cfg.MaxPayload})
	return b
}

// offers reports whether the server offers a transport.
func (s *Server) offers(transportName string) bool {
	return slices.Contains(s.cfg.Transports, transportName)
}
