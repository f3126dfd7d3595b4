package redis

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// minPause and maxPause bound the pause between two attempts to write to a server
	// that still refuses writes after all connections were replaced.
	minPause = 20 * time.Millisecond
	maxPause = time.Second
	// renewalBurst renewals may follow each other at once. After that, one is allowed
	// per renewalInterval: after each, all watched keys are loaded again.
	renewalBurst    = 4
	renewalInterval = 15 * time.Second
)

// server is the hook of the go-redis client of one address. It follows a failover in
// which the address leads to another server while the old one stays up as a replica,
// as behind a DNS name, a virtual IP address or a proxy. The old connections still
// work then, but lead to the wrong server. When a request is refused for that reason:
//
//   - All connections are retired: the pool discards them before it uses them again.
//   - The renewal begins: watches connect anew, and report a Gap. Retired connections
//     that are still open after the grace period are closed, including those that
//     users of Conn hold.
//   - If a new connection is refused too, writes fail without being sent for a pause.
//   - The first write that succeeds begins another renewal: connections that were
//     opened meanwhile may lead to the old server.
type server struct {
	addr   string
	grace  time.Duration // how long a request in flight can take
	timers *timers
	renew  func(addr string, err error) // called at each renewal; err is nil when writes succeed again

	generation atomic.Uint64 // grows when all connections are retired
	attention  atomic.Bool   // refusing or due: a successful write takes mu

	mu          sync.Mutex // guards the fields below; nothing is called while it is held
	conns       map[*trackedConn]struct{}
	refusing    bool  // a request was refused, and no later write succeeded yet
	due         bool  // a renewal was put off
	refusal     error // the latest one that says that no write can succeed
	pause       time.Duration
	pausedUntil time.Time
	renewals    budget
}

func newServer(addr string, grace time.Duration, timers *timers, renew func(string, error)) *server {
	return &server{addr: addr, grace: grace, timers: timers, renew: renew, conns: map[*trackedConn]struct{}{}}
}

// budget is a token bucket of renewalBurst tokens, with a new one per renewalInterval.
type budget struct {
	left int
	at   time.Time // when left was last increased
}

func (b *budget) take(now time.Time) bool {
	if n := now.Sub(b.at) / renewalInterval; n > 0 {
		b.left, b.at = min(renewalBurst, b.left+int(min(n, renewalBurst))), now
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

// serverQuery is a command that never leaves the process: the hook fills in the
// server.
type serverQuery struct {
	*goredis.Cmd
	server *server
}

// serverOf returns the hook of a client that newClient has made. go-redis creates and
// drops the clients of a cluster's nodes by itself, so a table of them would grow.
func serverOf(client *goredis.Client) *server {
	ctx := context.Background()
	query := &serverQuery{Cmd: goredis.NewCmd(ctx)}
	_ = client.Process(ctx, query)
	return query.server
}

// ProcessHook implements goredis.Hook.
func (sv *server) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if query, ok := cmd.(*serverQuery); ok {
			query.server = sv
			return nil
		}
		generation := sv.generation.Load()
		err := next(ctx, cmd)
		sv.observe(generation, err)
		return err
	}
}

// ProcessPipelineHook implements goredis.Hook.
func (sv *server) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		generation := sv.generation.Load()
		err := next(ctx, cmds)
		if err != nil {
			for _, cmd := range cmds {
				sv.observe(generation, cmd.Err())
			}
		}
		return err
	}
}

// observe handles the result of a request that began in a generation. If all
// connections were retired meanwhile, it says nothing about the new ones.
func (sv *server) observe(generation uint64, err error) {
	kind := refusalKind(err)
	if kind == notRefused {
		return
	}
	now := time.Now()
	sv.mu.Lock()
	if generation != sv.generation.Load() || sv.refusing && now.Before(sv.pausedUntil) {
		sv.mu.Unlock()
		return
	}
	first := !sv.refusing
	sv.refusing = true
	sv.attention.Store(true)
	sv.refusal = nil
	if first {
		sv.pause, sv.pausedUntil = 0, now // the next connection may lead to the right server
	} else {
		sv.pause = min(max(2*sv.pause, minPause), maxPause)
		sv.pausedUntil = now.Add(jittered(sv.pause))
		if kind == refusedAsReplica {
			sv.refusal = err
		}
	}
	sv.generation.Add(1)
	renew := first && sv.takeRenewal(now)
	sv.mu.Unlock()
	if renew {
		sv.renew(sv.addr, err)
	}
}

// paused returns the error of a write that must not be sent now, or nil.
func (sv *server) paused() error {
	if !sv.attention.Load() {
		return nil
	}
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if sv.refusal != nil && time.Now().Before(sv.pausedUntil) {
		return sv.refusal
	}
	return nil
}

// wrote handles a write that succeeded and began in a generation.
func (sv *server) wrote(generation uint64) {
	if !sv.attention.Load() {
		return
	}
	now := time.Now()
	sv.mu.Lock()
	if sv.refusing && generation != sv.generation.Load() {
		sv.mu.Unlock()
		return // perhaps on an old connection, before the server became a replica
	}
	if sv.refusing {
		sv.refusing, sv.refusal, sv.due = false, nil, true
		sv.generation.Add(1)
	}
	renew := sv.due && sv.takeRenewal(now)
	sv.attention.Store(sv.due)
	sv.mu.Unlock()
	if renew {
		sv.renew(sv.addr, nil)
	}
}

// takeRenewal reports whether a renewal may begin now, and schedules the end of the
// retired connections. Otherwise the renewal is due later. The caller holds mu.
func (sv *server) takeRenewal(now time.Time) bool {
	if sv.due = !sv.renewals.take(now); sv.due {
		return false
	}
	generation := sv.generation.Load()
	sv.timers.after(sv.grace, func() { sv.closeRetired(generation) })
	return true
}

// closeRetired closes the connections of earlier generations.
func (sv *server) closeRetired(generation uint64) {
	sv.mu.Lock()
	var retired []*trackedConn
	for c := range sv.conns {
		if c.generation < generation {
			retired = append(retired, c)
		}
	}
	sv.mu.Unlock()
	for _, c := range retired {
		_ = c.Close()
	}
}

// track registers a connection that was dialed in a generation.
func (sv *server) track(c net.Conn, generation uint64) net.Conn {
	tracked := &trackedConn{Conn: c, server: sv, generation: generation}
	sv.mu.Lock()
	sv.conns[tracked] = struct{}{}
	sv.mu.Unlock()
	return tracked
}

func (sv *server) forget(c *trackedConn) {
	sv.mu.Lock()
	delete(sv.conns, c)
	sv.mu.Unlock()
}

// timers run functions later, until they are closed. The zero value is ready to use.
type timers struct {
	mu      sync.Mutex
	closed  bool
	pending map[*time.Timer]struct{}
	running sync.WaitGroup
}

// after runs f on a goroutine after d, unless the timers are closed by then.
func (t *timers) after(d time.Duration, f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if t.pending == nil {
		t.pending = map[*time.Timer]struct{}{}
	}
	t.running.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(d, func() { // close waits for it
		defer t.running.Done()
		t.mu.Lock() // after has stored timer
		delete(t.pending, timer)
		t.mu.Unlock()
		f()
	})
	t.pending[timer] = struct{}{}
}

// close stops what is pending, and waits for what runs.
func (t *timers) close() {
	t.mu.Lock()
	t.closed = true
	for timer := range t.pending {
		if timer.Stop() {
			t.running.Done()
		}
	}
	t.mu.Unlock()
	t.running.Wait()
}
