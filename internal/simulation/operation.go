package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// kind is the kind of an operation.
type kind uint8

const (
	httpRead kind = iota
	httpSet
	httpSlow // sets a value and ends later
	httpIncr
	httpMove // an Update of two values
	httpLogin
	httpLogout
	httpRenew
	httpEnd
	wsConnect
	wsRead
	wsSet
	wsSlow
	wsIncr
	wsMove
	wsEnd
	wsLeave
	endAll
	breakStorage
	breakFeed
	heal
	crash
	pause
	kinds
)

var kindNames = [kinds]string{
	"GET /read", "GET /set", "GET /slow", "GET /incr", "GET /move", "GET /login", "GET /logout", "GET /renew", "GET /end",
	"connect", "event read", "event set", "event slow", "event incr", "event move", "event end", "leave",
	"EndAll", "break the storage", "break the feed", "heal", "crash", "pause",
}

func (k kind) String() string { return kindNames[k] }

// weights say how often each kind is chosen.
var weights = [kinds]int{
	httpRead: 14, httpSet: 14, httpSlow: 5, httpIncr: 8, httpMove: 8, httpLogin: 8, httpLogout: 2, httpRenew: 4, httpEnd: 2,
	wsConnect: 10, wsRead: 14, wsSet: 12, wsSlow: 4, wsIncr: 8, wsMove: 8, wsEnd: 1, wsLeave: 1,
	endAll: 1, breakStorage: 3, breakFeed: 3, heal: 6, crash: 1, pause: 3,
}

// op is one operation of a run. Its fields decide everything that the run does with it.
type op struct {
	Gap     time.Duration // since the operation before
	Kind    kind
	Browser int
	Node    int
	Arg     uint64
}

const (
	nodeCount    = 3
	browserCount = 6
	valueKeys    = 4
)

var users = [...]string{"ada", "bea", "cyd"}

// Generate returns the operations of a seed.
func Generate(seed uint64, count int) []op {
	r := rand.New(rand.NewPCG(seed, 1))
	total := 0
	for _, w := range weights {
		total += w
	}
	var ops []op
	for len(ops) < count {
		if r.IntN(150) == 0 {
			ops = append(ops, unconfirmedCreation(r)...)
			continue
		}
		ops = append(ops, op{})
		o := &ops[len(ops)-1]
		n := r.IntN(total)
		for n >= weights[o.Kind] {
			n -= weights[o.Kind]
			o.Kind++
		}
		o.Browser, o.Node, o.Arg = r.IntN(browserCount), r.IntN(nodeCount), r.Uint64()
		o.Gap = time.Duration(r.ExpFloat64() * float64(4*time.Millisecond))
		switch {
		case o.Kind == pause && r.IntN(4) == 0:
			o.Gap = time.Duration(r.Int64N(int64(12 * time.Minute)))
		case o.Kind == pause:
			o.Gap = time.Duration(r.Int64N(int64(20 * time.Second)))
		case r.IntN(30) == 0:
			o.Gap = time.Duration(r.Int64N(int64(2 * time.Second)))
		}
	}
	return ops[:count]
}

// unconfirmedCreation returns operations that chance rarely brings together: a visitor's socket
// stores a new session, the node does not get the answer, the visitor logs out on another node,
// and the socket goes on.
func unconfirmedCreation(r *rand.Rand) []op {
	browser, here := r.IntN(browserCount), r.IntN(nodeCount)
	there := (here + 1 + r.IntN(nodeCount-1)) % nodeCount
	newest := uint64(maxSockets-1) << 32 // the last socket, if it has many
	var ops []op
	for _, o := range []op{
		{Kind: heal, Node: here}, {Kind: heal, Node: there}, {Kind: httpEnd, Node: here}, {Kind: wsConnect, Node: here, Gap: 100 * time.Millisecond},
		{Kind: breakStorage, Node: here, Arg: uint64(lossy - 1), Gap: 200 * time.Millisecond}, {Kind: wsSet, Arg: newest},
		{Kind: httpEnd, Node: there}, {Kind: heal, Node: here, Gap: 20 * time.Millisecond},
		{Kind: wsSet, Arg: newest}, {Kind: wsRead, Arg: newest, Gap: 20 * time.Millisecond},
	} {
		o.Browser = browser
		o.Gap += time.Duration(r.Int64N(int64(10 * time.Millisecond)))
		ops = append(ops, o)
	}
	return ops
}

func (o op) key() string  { return fmt.Sprint("w", o.Arg%valueKeys) }
func (o op) user() string { return users[o.Arg%uint64(len(users))] }

// value is what the call stores: it names the session and the call.
func (c *call) value() string { return fmt.Sprintf("%s#%d", c.session.name, c.number) }

// renews reports whether the call gives its session a new ID.
func (c *call) renews() bool {
	return c.Kind == httpLogin || c.Kind == httpLogout || c.Kind == httpRenew
}
