package simulation

import (
	"context"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// Config configures a run.
type Config struct {
	// Seed decides latencies and faults, and which settings the nodes have: with an odd seed,
	// Config.OnRegenerate disconnects; with a seed whose second bit is set, reads are Tracked.
	Seed uint64
	// Ops are the operations, as Generate returns them.
	Ops []op
}

// Result is what a run found.
type Result struct {
	// Failure describes the first violation; "" if there is none.
	Failure string
	// Step is the index of the operation after which it was found.
	Step int
	// Ops counts the operations that were made, Seen what handlers saw and the oracle checked.
	Ops, Seen int
	// Virtual is how much virtual time has passed.
	Virtual time.Duration
	// Kinds counts the acknowledged operations by kind.
	Kinds [kinds]int
}

// Cluster is a run's three nodes, their storage, and the browsers that use them.
type Cluster struct {
	cfg          Config
	db           *database
	hub          *adapter.Memory
	oracle       *oracle
	nodes        [nodeCount]*node
	nodesStarted uint64
	browsers     [browserCount]browser
	running      sync.WaitGroup // calls and polls
	inFlight     chan struct{}
	errs         []error

	mu   sync.Mutex
	done [kinds]int
}

// browser is a cookie jar and the sockets that its pages opened.
type browser struct {
	mu      sync.Mutex
	session string
	sockets []*socket
}

// maxInFlight bounds the calls that are under way at once.
const maxInFlight = 16

// longPause is a pause that begins with all nodes healed.
const longPause = 20 * time.Second

// Run executes a run. It must be called in a testing/synctest bubble, and stops at the first
// violation. When it returns, all goroutines have ended.
func Run(cfg Config) Result {
	c := &Cluster{cfg: cfg, db: newDatabase(), hub: adapter.NewMemory(), oracle: newOracle(cfg.Seed&2 != 0), inFlight: make(chan struct{}, maxInFlight)}
	for i := range c.nodes {
		c.nodes[i] = c.newNode(i)
	}
	made := 0
	for i, o := range cfg.Ops {
		if o.Gap > longPause { // otherwise most of the work would be retries of nodes that cannot reach the storage
			for _, n := range c.nodes {
				n.link.set(healthy, feedPrompt)
			}
		}
		time.Sleep(o.Gap)
		c.oracle.mu.Lock()
		c.oracle.step = i
		c.oracle.mu.Unlock()
		c.step(i+1, o)
		made++
		if i%8 == 0 {
			c.oracle.sweep()
		}
		if c.oracle.failed() != "" {
			break
		}
	}
	c.finish()
	synctest.Wait()
	for _, err := range c.errs {
		c.oracle.fail(nil, "a node did not stop: %v", err)
	}
	return Result{c.oracle.failure, c.oracle.failedAt, made, c.oracle.seen, c.oracle.now(), c.done}
}

// finish lets all calls end, checks once more, and stops the nodes.
func (c *Cluster) finish() {
	for _, n := range c.nodes {
		n.link.set(healthy, feedPrompt)
	}
	for range maxInFlight {
		c.inFlight <- struct{}{}
	}
	time.Sleep(silentBound + endBound)
	c.oracle.sweep()
	for _, n := range c.nodes {
		if err := n.stop(false); err != nil {
			c.errs = append(c.errs, fmt.Errorf("node %d: %w", n.number, err))
		}
	}
	c.running.Wait()
}

// step executes one operation. Calls go on while the next operations are made.
func (c *Cluster) step(number int, o op) {
	n := c.nodes[o.Node]
	b := &c.browsers[o.Browser]
	switch o.Kind {
	case pause:
	case breakStorage:
		n.link.set(health(1+o.Arg%uint64(healths-1)), n.link.feedState())
	case breakFeed:
		n.link.set(n.link.healthNow(), feedKind(1+o.Arg%3))
	case heal:
		n.link.set(healthy, feedPrompt)
	case crash:
		if err := n.stop(true); err != nil {
			c.errs = append(c.errs, err)
		}
		c.nodes[o.Node] = c.newNode(o.Node)
	case wsLeave:
		if k := b.socket(o.Arg); k != nil {
			c.start(func() { k.leave() })
		}
	case endAll:
		c.start(func() {
			from := c.oracle.beginEndAll(o.user())
			_, err := n.sessions.EndAll(context.Background(), o.user())
			c.oracle.finishEndAll(o.user(), from, err == nil)
			c.count(o.Kind, err == nil)
		})
	case wsConnect:
		c.start(func() { c.open(&call{op: o, number: number, node: n}, b) })
	case wsRead, wsSet, wsSlow, wsIncr, wsMove, wsEnd:
		k := b.socket(o.Arg >> 32)
		if k == nil {
			return
		}
		c.start(func() {
			cl := &call{op: o, number: number, node: k.node, socket: k}
			c.oracle.begin(cl)
			ok := k.emit(cl)
			c.oracle.finish(cl, ok)
			c.count(o.Kind, ok && o.Kind != wsEnd)
		})
	default:
		c.start(func() { c.request(&call{op: o, number: number, node: n}, b) })
	}
}

// start runs a call, after at most maxInFlight others.
func (c *Cluster) start(fn func()) {
	c.inFlight <- struct{}{}
	c.running.Go(func() {
		defer func() { <-c.inFlight }()
		fn()
	})
}

func (c *Cluster) count(k kind, ok bool) {
	if ok {
		c.mu.Lock()
		c.done[k]++
		c.mu.Unlock()
	}
}

// request makes a page request with the browser's cookie.
func (c *Cluster) request(cl *call, b *browser) {
	cl.sent = b.id()
	c.oracle.begin(cl)
	res := cl.node.do("GET", "/page", cl.sent, "", cl.number)
	ok := res.StatusCode() == 200
	if id, set := newCookie(res); set {
		cl.got = id
		b.set(id)
	}
	c.oracle.finish(cl, ok)
	c.count(cl.Kind, ok)
}

// open connects a socket of the browser.
func (c *Cluster) open(cl *call, b *browser) {
	cl.sent = b.id()
	c.oracle.begin(cl)
	k := cl.node.connect(cl)
	if cl.got != "" {
		b.set(cl.got)
	}
	time.Sleep(50 * time.Millisecond) // the server accepts the socket meanwhile, or later
	c.oracle.finish(cl, k != nil)
	if k == nil {
		return
	}
	b.mu.Lock()
	b.sockets = append(b.sockets, k)
	b.mu.Unlock()
	c.count(cl.Kind, true)
}

func (b *browser) id() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.session
}

func (b *browser) set(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session = id
}

// maxSockets bounds the sockets of one browser.
const maxSockets = 4

// socket returns one of the browser's open sockets, or nil.
func (b *browser) socket(arg uint64) *socket {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := b.sockets[:0]
	for _, k := range b.sockets {
		if k.usable() {
			open = append(open, k)
		}
	}
	b.sockets = open[max(0, len(open)-maxSockets):]
	if len(b.sockets) == 0 {
		return nil
	}
	return b.sockets[arg%uint64(len(b.sockets))]
}
