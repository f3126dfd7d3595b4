package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

// load is a cluster whose nodes broadcast all the time and record what they receive.
type load struct {
	t     *testing.T
	nodes []*loadNode
	stop  func()

	lossless bool // check fails if a message was lost, also without a log
}

// outcome is what a sender knows about a message.
type outcome string

const (
	outcomeSent    outcome = "sent"
	outcomeUnsent  outcome = "unsent"
	outcomeUnknown outcome = "unknown"
)

// loadNode is a node of a load. Its messages are numbered from 0.
type loadNode struct {
	adapter.Adapter
	index  int // in load.nodes
	store  storage.Storage
	logged testlog.Log

	mu       sync.Mutex
	received []string        // "<index of the sender> <number>", in order of arrival
	outcomes map[int]outcome // of this node's messages, by number
	next     int             // the next number
}

func (n *loadNode) ID() string { return fmt.Sprint("load node ", n.index) }

func (n *loadNode) Deliver(m *adapter.Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.received = append(n.received, strings.Trim(string(m.Payload.JSON), `[]"`))
}

func (n *loadNode) Answer(context.Context, *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(func(*adapter.Reply) bool) {}
}

// newLoad starts one node for each storage URL and waits until the nodes have found each
// other. They do not send yet.
func newLoad(t *testing.T, cfg redisadapter.Config, urls ...string) *load {
	t.Helper()
	l := &load{t: t}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	if cfg.MaxLen == 0 {
		cfg.MaxLen = 1_000_000
	}
	for i, url := range urls {
		n := &loadNode{index: i, store: storage.MustOpen(url), outcomes: make(map[int]outcome)}
		cfg.Logger = slog.New(slog.NewTextHandler(&n.logged, nil))
		n.Adapter = redisadapter.For(n.store, cfg)
		n.Open("/")
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx, n) }() // ends with ctx; waited for below
		t.Cleanup(func() {
			cancel()
			<-done
			_ = n.store.Close()
		})
		l.nodes = append(l.nodes, n)
	}
	for _, n := range l.nodes {
		waitFor(t, "the nodes find each other", func() string {
			if count, err := n.Nodes(t.Context(), "/"); count != len(urls) || err != nil {
				return fmt.Sprint(count, err)
			}
			return ""
		})
	}
	return l
}

// start makes all nodes send until stop is called.
func (l *load) start() {
	stop, wg := make(chan struct{}), sync.WaitGroup{}
	for _, n := range l.nodes {
		wg.Go(func() { // l.stop waits for it
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					n.send(l.t)
				}
			}
		})
	}
	l.stop = sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
	l.t.Cleanup(l.stop)
}

// send broadcasts the node's next message and records the outcome.
func (n *loadNode) send(t *testing.T) {
	n.mu.Lock()
	number := n.next
	n.next++
	n.mu.Unlock()
	m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: fmt.Appendf(nil, `["%d %d"]`, n.index, number)}}
	send := n.Publish
	if log, ok := n.Adapter.(adapter.Log); ok {
		send = log.Append
	}
	err, result := send(context.Background(), m), outcomeSent
	switch {
	case errors.Is(err, adapter.ErrUnknownOutcome):
		result = outcomeUnknown
	case errors.Is(err, adapter.ErrUnavailable):
		result = outcomeUnsent
	case err != nil:
		t.Errorf("sending failed with %v, want ErrUnavailable or ErrUnknownOutcome", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outcomes[number] = result
}

// receivedFrom returns the numbers of the messages that n received from a node.
func (n *loadNode) receivedFrom(sender int) []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	var numbers []int
	for _, text := range n.received {
		var from, number int
		if _, err := fmt.Sscanf(text, "%d %d", &from, &number); err == nil && from == sender {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// count returns how many of the node's messages had an outcome.
func (n *loadNode) count(want outcome) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.outcomes {
		if o == want {
			count++
		}
	}
	return count
}

// nextNumbers returns the number of each node's next message.
func (l *load) nextNumbers() []int {
	marks := make([]int, len(l.nodes))
	for i, n := range l.nodes {
		n.mu.Lock()
		marks[i] = n.next
		n.mu.Unlock()
	}
	return marks
}

// waitForProgress waits until each of the given nodes, or of all nodes, has received a
// message from each other one that was sent after the call. It returns how long that took.
func (l *load) waitForProgress(phase string, among ...*loadNode) time.Duration {
	l.t.Helper()
	if among == nil {
		among = l.nodes
	}
	began, marks := time.Now(), l.nextNumbers()
	for _, n := range among {
		for _, from := range among {
			if n == from {
				continue
			}
			waitFor(l.t, fmt.Sprintf("%s: node %d receives from node %d", phase, n.index, from.index), func() string {
				if all := n.receivedFrom(from.index); len(all) == 0 || all[len(all)-1] < marks[from.index] {
					return fmt.Sprintf("it received %d messages, none of them new; log: %s", len(all), n.logged.String())
				}
				return ""
			})
		}
	}
	return time.Since(began)
}

// waitForFailure waits until a node fails to send a message.
func (l *load) waitForFailure(n *loadNode) {
	l.t.Helper()
	sent := n.count(outcomeSent)
	failed := n.count(outcomeUnsent) + n.count(outcomeUnknown)
	waitFor(l.t, fmt.Sprintf("node %d fails to send", n.index), func() string {
		if n.count(outcomeUnsent)+n.count(outcomeUnknown) > failed {
			return ""
		}
		return fmt.Sprint("it sent ", n.count(outcomeSent)-sent, " messages meanwhile")
	})
}

// check checks what the nodes received. No message may arrive twice, and none whose outcome
// is unsent. From the marks on, messages arrive in the order in which they were sent. With
// a log, all nodes must have received all sent messages from the marks on, in one common
// order.
func (l *load) check(marks []int) {
	l.t.Helper()
	_, isLog := l.nodes[0].Adapter.(adapter.Log)
	for i, from := range l.nodes {
		total := 0
		for _, n := range l.nodes {
			seen, last := make(map[int]bool), -1
			for _, number := range n.receivedFrom(i) {
				switch o := from.outcomes[number]; {
				case seen[number]:
					l.t.Errorf("node %d received message %d of node %d twice", n.index, number, i)
				case o == outcomeUnsent:
					l.t.Errorf("node %d received message %d of node %d, whose outcome is %q", n.index, number, i, o)
				case o == outcomeSent && number >= marks[i] && number < last:
					l.t.Errorf("node %d received message %d of node %d after message %d", n.index, number, i, last)
				case o == outcomeSent:
					last = number
				}
				seen[number] = true
			}
			total += len(seen)
			for number := marks[i]; (isLog || l.lossless && n != from) && number < from.next; number++ {
				if from.outcomes[number] == outcomeSent && !seen[number] {
					l.t.Errorf("node %d did not receive message %d of node %d", n.index, number, i)
				}
			}
		}
		l.t.Logf("node %d: %d messages sent, %d unknown, %d unsent; received %d times in all", i, from.count(outcomeSent), from.count(outcomeUnknown), from.count(outcomeUnsent), total)
	}
	if !isLog {
		return
	}
	afterMarks := func(n *loadNode) []string {
		return slices.DeleteFunc(slices.Clone(n.received), func(text string) bool {
			var from, number int
			_, err := fmt.Sscanf(text, "%d %d", &from, &number)
			return err != nil || number < marks[from]
		})
	}
	first := afterMarks(l.nodes[0])
	for _, n := range l.nodes[1:] {
		if got := afterMarks(n); !slices.Equal(got, first) {
			l.t.Errorf("node 0 received %d messages and node %d received %d, or in another order", len(first), n.index, len(got))
		}
	}
}

// drain stops the load, sends one more message from each node and waits until all nodes
// have received it. Everything sent before has then arrived as well.
func (l *load) drain() {
	l.t.Helper()
	l.stop()
	for _, n := range l.nodes {
		waitFor(l.t, "the last message is sent", func() string {
			sent := n.count(outcomeSent)
			n.send(l.t)
			if n.count(outcomeSent) == sent {
				return "sending failed"
			}
			return ""
		})
	}
	for _, n := range l.nodes {
		for i, from := range l.nodes {
			if _, isLog := n.Adapter.(adapter.Log); !isLog && n == from {
				continue
			}
			waitFor(l.t, "the last message arrives", func() string {
				if all := n.receivedFrom(i); len(all) == 0 || all[len(all)-1] != from.next-1 {
					return fmt.Sprintf("node %d has not received it from node %d", n.index, i)
				}
				return ""
			})
		}
	}
}
