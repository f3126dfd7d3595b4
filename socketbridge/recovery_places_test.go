package socketbridge_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// slow is a node that is behind: it is delivered nothing until it is let go on.
type slow struct {
	at   uint64 // its position
	late []func()
}

// tappedNode is the node's end of a tapped log.
type tappedNode struct {
	adapter.Node
	log *tapped
}

func (l *tapped) Run(ctx context.Context, n adapter.Node) error {
	return l.Log.Run(ctx, &tappedNode{n, l})
}

func (n *tappedNode) Deliver(m *adapter.Message) {
	n.log.mu.Lock()
	if s := n.log.slow; s != nil {
		s.late = append(s.late, func() { n.Node.Deliver(m) })
		n.log.mu.Unlock()
		return
	}
	n.log.mu.Unlock()
	n.Node.Deliver(m)
}

func (l *tapped) Position() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slow != nil {
		return l.slow.at
	}
	return l.Log.Position()
}

// hold lets the node fall behind.
func (l *tapped) hold() {
	at := l.Log.Position()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = &slow{at: at}
}

// release lets it go on. Nothing may be under way.
func (l *tapped) release() {
	l.mu.Lock()
	late := l.slow.late
	l.slow = nil
	l.mu.Unlock()
	for _, deliver := range late {
		deliver()
	}
}

// An event that is sent while a client is being told what it missed, after that was
// read, is remembered as sent to it: when its connection breaks before it has it, it
// gets it the next time.
func TestRecoveryNodes_SentWhileItComesBack(t *testing.T) {
	t.Parallel()
	for name, missed := range map[string]int{"it missed nothing": 0, "it missed something": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onLogs(t, func(t *testing.T, join func() *tapped) {
				nodes, logs := loggedNodes(t, 2, socketbridge.Config{}, join)
				emit := func(n int) {
					if err := nodes[1].To("all").Emit("n", n); err != nil {
						t.Error(err)
					}
				}
				p := back(t, nodes[0], "", "")
				emit(0)
				_, p.offset = p.event()
				p.leave()
				logs[0].await(t, p.pid)
				for n := range missed {
					emit(1 + n)
				}
				var reads atomic.Int32
				logs[1].mu.Lock()
				logs[1].read = func() {
					if reads.Add(1) == 2 { // before its middlewares, and after them
						emit(1 + missed)
					}
				}
				logs[1].mu.Unlock()
				p = back(t, nodes[1], p.pid, p.offset)
				for n := range missed {
					if got, offset := p.event(); got != 1+n {
						t.Fatalf("got %d, want %d", got, 1+n)
					} else {
						p.offset = offset
					}
				}
				p.leave() // with the last one on its way
				logs[1].await(t, p.pid)
				p = back(t, nodes[0], p.pid, p.offset)
				emit(2 + missed)
				for _, want := range []int{1 + missed, 2 + missed} {
					if got, _ := p.event(); got != want {
						t.Fatalf("got %d, want %d (recovered: %v)", got, want, p.recovered)
					}
				}
			})
		})
	}
}

// A client may come back by way of a node that has not yet been delivered what the
// client has already got elsewhere.
func TestRecoveryNodes_BackToANodeThatIsBehind(t *testing.T) {
	t.Parallel()
	onLogs(t, func(t *testing.T, join func() *tapped) {
		nodes, logs := loggedNodes(t, 2, socketbridge.Config{}, join)
		emit := func(n int) {
			t.Helper()
			if err := nodes[0].To("all").Emit("n", n); err != nil {
				t.Fatal(err)
			}
		}
		p := back(t, nodes[0], "", "")
		until(t, "both nodes are at the same place", func() bool { return logs[1].Position() == logs[0].Position() })
		logs[1].hold()
		emit(1)
		_, p.offset = p.event()
		for _, at := range []int{0, 1} {
			p.leave()
			logs[at].await(t, p.pid)
			if p = back(t, nodes[1-at], p.pid, p.offset); !p.recovered {
				t.Fatalf("it did not get its socket back from node %d", 1-at)
			}
		}
		p.leave()
		logs[0].await(t, p.pid)
		p = back(t, nodes[1], p.pid, p.offset)
		logs[1].release()
		emit(2)
		if got, _ := p.event(); got != 2 {
			t.Errorf("got %d, want 2", got)
		}
	})
}
