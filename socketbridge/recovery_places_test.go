package socketbridge_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// backlog holds the messages of a node that is held back.
type backlog struct {
	position   uint64 // its position
	deliveries []func()
}

// recordingNode is a node that delivers the messages of a tapped log.
type recordingNode struct {
	adapter.Node
	log *recordingLog
}

func (l *recordingLog) Run(ctx context.Context, n adapter.Node) error {
	return l.Log.Run(ctx, &recordingNode{n, l})
}

func (n *recordingNode) Deliver(m *adapter.Message) {
	n.log.mu.Lock()
	if s := n.log.backlog; s != nil {
		s.deliveries = append(s.deliveries, func() { n.Node.Deliver(m) })
		n.log.mu.Unlock()
		return
	}
	n.log.mu.Unlock()
	n.Node.Deliver(m)
}

func (l *recordingLog) Position() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backlog != nil {
		return l.backlog.position
	}
	return l.Log.Position()
}

// hold holds back all messages to the node.
func (l *recordingLog) hold() {
	at := l.Log.Position()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backlog = &backlog{position: at}
}

// release delivers the held messages. No message may be in flight.
func (l *recordingLog) release() {
	l.mu.Lock()
	held := l.backlog.deliveries
	l.backlog = nil
	l.mu.Unlock()
	for _, deliver := range held {
		deliver()
	}
}

// An event emitted while a client recovers, after the missed events were read, counts as
// sent to it. If its connection breaks before the event arrives, the next recovery
// delivers the event.
func TestRecoveryNodes_SentDuringRecovery(t *testing.T) {
	t.Parallel()
	for name, missed := range map[string]int{"it missed nothing": 0, "it missed something": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachLog(t, func(t *testing.T, join func() *recordingLog) {
				nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{}, join)
				emit := func(n int) {
					if err := nodes[1].To("all").Emit("n", n); err != nil {
						t.Error(err)
					}
				}
				p := connectRecovering(t, nodes[0], "", "")
				emit(0)
				_, p.offset = p.event()
				p.leave()
				logs[0].waitForKept(t, p.pid)
				for n := range missed {
					emit(1 + n)
				}
				var reads atomic.Int32
				logs[1].mu.Lock()
				logs[1].read = func() {
					if reads.Add(1) == 2 { // the log is read before the middlewares and after them
						emit(1 + missed)
					}
				}
				logs[1].mu.Unlock()
				p = connectRecovering(t, nodes[1], p.pid, p.offset)
				for n := range missed {
					if got, offset := p.event(); got != 1+n {
						t.Fatalf("got event %d, want %d", got, 1+n)
					} else {
						p.offset = offset
					}
				}
				p.leave() // while the last event is in flight
				logs[1].waitForKept(t, p.pid)
				p = connectRecovering(t, nodes[0], p.pid, p.offset)
				emit(2 + missed)
				for _, want := range []int{1 + missed, 2 + missed} {
					if got, _ := p.event(); got != want {
						t.Fatalf("got event %d, want %d (recovered: %v)", got, want, p.recovered)
					}
				}
			})
		})
	}
}

// A client can recover on a node that has not yet received the events that the client
// already got from another node.
func TestRecoveryNodes_NodeThatIsBehind(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, join func() *recordingLog) {
		nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{}, join)
		emit := func(n int) {
			t.Helper()
			if err := nodes[0].To("all").Emit("n", n); err != nil {
				t.Fatal(err)
			}
		}
		p := connectRecovering(t, nodes[0], "", "")
		waitFor(t, "both nodes to be at the same position", func() bool { return logs[1].Position() == logs[0].Position() })
		logs[1].hold()
		emit(1)
		_, p.offset = p.event()
		for _, at := range []int{0, 1} {
			p.leave()
			logs[at].waitForKept(t, p.pid)
			if p = connectRecovering(t, nodes[1-at], p.pid, p.offset); !p.recovered {
				t.Fatalf("the client was not recovered on node %d", 1-at)
			}
		}
		p.leave()
		logs[0].waitForKept(t, p.pid)
		p = connectRecovering(t, nodes[1], p.pid, p.offset)
		logs[1].release()
		emit(2)
		if got, _ := p.event(); got != 2 {
			t.Errorf("got event %d, want 2", got)
		}
	})
}
