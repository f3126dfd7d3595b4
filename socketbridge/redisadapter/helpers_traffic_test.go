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

// traffic is nodes that all broadcast all the time, and what each of them hears.
type traffic struct {
	t       *testing.T
	talkers []*talker
	pause   func()

	complete bool // nothing may be lost, though nothing is kept
}

// talker is one of them. Its messages are numbered.
type talker struct {
	adapter.Adapter
	number int
	store  storage.Storage
	logged testlog.Log

	mu    sync.Mutex
	heard []string       // "sender number", as it came
	fates map[int]string // of its own messages: sent, unknown, unsent
	next  int
}

func (w *talker) ID() string { return fmt.Sprint("talker ", w.number) }

func (w *talker) Deliver(m *adapter.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, strings.Trim(string(m.Payload.JSON), `[]"`))
}

func (w *talker) Answer(context.Context, *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(func(*adapter.Reply) bool) {}
}

// newTraffic links a node to each of the storages' Redis. Nobody talks yet.
func newTraffic(t *testing.T, cfg redisadapter.Config, urls ...string) *traffic {
	t.Helper()
	tr := &traffic{t: t}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	if cfg.MaxLen == 0 {
		cfg.MaxLen = 1_000_000
	}
	for i, url := range urls {
		w := &talker{number: i, store: storage.MustOpen(url), fates: make(map[int]string)}
		cfg.Logger = slog.New(slog.NewTextHandler(&w.logged, nil))
		w.Adapter = redisadapter.For(w.store, cfg)
		w.Open("/")
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx, w) }() // ends with ctx; waited for below
		t.Cleanup(func() {
			cancel()
			<-done
			_ = w.store.Close()
		})
		tr.talkers = append(tr.talkers, w)
	}
	for _, w := range tr.talkers {
		wait(t, "the nodes find each other", func() string {
			if n, err := w.Nodes(t.Context(), "/"); n != len(urls) || err != nil {
				return fmt.Sprint(n, err)
			}
			return ""
		})
	}
	return tr
}

// begin lets the nodes talk, until pause.
func (tr *traffic) begin() {
	stop, wg := make(chan struct{}), sync.WaitGroup{}
	for _, w := range tr.talkers {
		wg.Go(func() { // pause waits
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					w.talk(tr.t)
				}
			}
		})
	}
	tr.pause = sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
	tr.t.Cleanup(tr.pause)
}

// talk sends the next message.
func (w *talker) talk(t *testing.T) {
	w.mu.Lock()
	n := w.next
	w.next++
	w.mu.Unlock()
	m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: fmt.Appendf(nil, `["%d %d"]`, w.number, n)}}
	send := w.Publish
	if log, ok := w.Adapter.(adapter.Log); ok {
		send = log.Append
	}
	err, fate := send(context.Background(), m), "sent"
	switch {
	case errors.Is(err, adapter.ErrUnknownOutcome):
		fate = "unknown"
	case errors.Is(err, adapter.ErrUnavailable):
		fate = "unsent"
	case err != nil:
		t.Errorf("a message has the error %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fates[n] = fate
}

// numbers returns those that w has heard of a node.
func (w *talker) numbers(sender int) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []int
	for _, text := range w.heard {
		var from, n int
		if _, err := fmt.Sscanf(text, "%d %d", &from, &n); err == nil && from == sender {
			all = append(all, n)
		}
	}
	return all
}

func (w *talker) count(fate string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.fates {
		if f == fate {
			n++
		}
	}
	return n
}

// mark returns from what number on each node's messages are still to be sent.
func (tr *traffic) mark() []int {
	marks := make([]int, len(tr.talkers))
	for i, w := range tr.talkers {
		w.mu.Lock()
		marks[i] = w.next
		w.mu.Unlock()
	}
	return marks
}

// progress waits until each node has heard each other say something that it says from
// now on, and returns how long that took.
func (tr *traffic) progress(what string, among ...*talker) time.Duration {
	tr.t.Helper()
	if among == nil {
		among = tr.talkers
	}
	began, marks := time.Now(), tr.mark()
	for _, w := range among {
		for _, from := range among {
			if w == from {
				continue
			}
			wait(tr.t, fmt.Sprintf("%s: node %d hears node %d", what, w.number, from.number), func() string {
				if all := w.numbers(from.number); len(all) == 0 || all[len(all)-1] < marks[from.number] {
					return fmt.Sprintf("%d heard, of %d; logged: %s", len(all), from.number, w.logged.String())
				}
				return ""
			})
		}
	}
	return time.Since(began)
}

// refused waits until a node's messages are.
func (tr *traffic) refused(w *talker) {
	tr.t.Helper()
	before := w.count("sent")
	began := w.count("unsent") + w.count("unknown")
	wait(tr.t, "what a node says is refused", func() string {
		if w.count("unsent")+w.count("unknown") > began {
			return ""
		}
		return fmt.Sprint(w.count("sent")-before, " were sent meanwhile")
	})
}

// check checks what was heard: nothing twice and nothing that was not sent, and from the
// marks on in the order in which it was sent. Kept messages were also all heard by all, in
// one order, from there on.
func (tr *traffic) check(marks []int) {
	tr.t.Helper()
	_, kept := tr.talkers[0].Adapter.(adapter.Log)
	for i, from := range tr.talkers {
		total := 0
		for _, w := range tr.talkers {
			seen, last := make(map[int]bool), -1
			for _, n := range w.numbers(i) {
				switch fate := from.fates[n]; {
				case seen[n]:
					tr.t.Errorf("node %d heard %d of node %d twice", w.number, n, i)
				case fate == "unsent":
					tr.t.Errorf("node %d heard %d of node %d, which was not sent", w.number, n, i)
				case fate == "sent" && n >= marks[i] && n < last:
					tr.t.Errorf("node %d heard %d of node %d after %d", w.number, n, i, last)
				case fate == "sent":
					last = n
				}
				seen[n] = true
			}
			total += len(seen)
			for n := marks[i]; (kept || tr.complete && w != from) && n < from.next; n++ {
				if from.fates[n] == "sent" && !seen[n] {
					tr.t.Errorf("node %d did not hear %d of node %d", w.number, n, i)
				}
			}
		}
		tr.t.Logf("node %d: %d sent, %d unknown, %d unsent; heard %d times", i, from.count("sent"), from.count("unknown"), from.count("unsent"), total)
	}
	if !kept {
		return
	}
	after := func(w *talker) []string {
		return slices.DeleteFunc(slices.Clone(w.heard), func(text string) bool {
			var from, n int
			_, err := fmt.Sscanf(text, "%d %d", &from, &n)
			return err != nil || n < marks[from]
		})
	}
	for _, w := range tr.talkers[1:] {
		if !slices.Equal(after(w), after(tr.talkers[0])) {
			tr.t.Errorf("nodes 0 and %d heard %d and %d messages, or in another order", w.number, len(after(tr.talkers[0])), len(after(w)))
		}
	}
}

// end ends the talk, and waits until a last word of each node has come to all: what was
// sent before it has too.
func (tr *traffic) end() {
	tr.t.Helper()
	tr.pause()
	for _, w := range tr.talkers {
		wait(tr.t, "a last word is sent", func() string {
			sent := w.count("sent")
			w.talk(tr.t)
			if w.count("sent") == sent {
				return "not yet"
			}
			return ""
		})
	}
	for _, w := range tr.talkers {
		for i, from := range tr.talkers {
			if _, kept := w.Adapter.(adapter.Log); !kept && w == from {
				continue
			}
			wait(tr.t, "a last word is heard", func() string {
				if all := w.numbers(i); len(all) == 0 || all[len(all)-1] != from.next-1 {
					return "not yet"
				}
				return ""
			})
		}
	}
}
