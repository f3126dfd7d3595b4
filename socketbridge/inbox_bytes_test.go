package socketbridge_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// unlimited has no rate limits.
var unlimited = socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1}}

// large returns an event of nearly 1 MB.
func large(namespace, event string) string {
	prefix := "2"
	if namespace != "/" {
		prefix += namespace + ","
	}
	return prefix + `["` + event + `","` + strings.Repeat("a", 990_000) + `"]`
}

// flood sends a text until the server stops reading, and returns how often it was read. The
// test runs in a synctest bubble.
func (p *peer) flood(texts ...string) *atomic.Int32 {
	var read atomic.Int32
	go func() { // ends with the connection
		for _, text := range texts {
			if p.conn.Text(text) != nil {
				return
			}
			read.Add(1)
		}
	}()
	synctest.Wait()
	return &read
}

func repeated(text string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text
	}
	return all
}

// TestS11_HeapOfWaitingEvents measures what three connections whose handler hangs can make
// the server hold. It measures the whole process, so it is not parallel.
func TestS11_HeapOfWaitingEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		io := newServer(t, unlimited)
		io.On("slow", func(*socketbridge.Packet) error { <-hold; return nil })
		text := repeated(large("/", "slow"), 20)
		peers := []*peer{join(t, io, "/"), join(t, io, "/"), join(t, io, "/")}
		before, _ := memoryInUse()
		for _, c := range peers {
			c.flood(text...)
		}
		after, _ := memoryInUse()
		t.Logf("%d connections hold %.1f MiB", len(peers), float64(after-before)/(1<<20))
		if got := after - before; got > 16<<20 {
			t.Errorf("the heap grew by %d bytes, want at most 16 MiB", got)
		}
		for _, c := range peers {
			c.conn.Close(transport.ForcedClose)
		}
		close(hold)
	})
}

// A client's events wait within the limit, in whichever of its namespaces.
func TestS11_EventsOfAClientWaitWithinItsLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		namespaces  int
		concurrency int
		wantRead    int32 // beside the one that the reader holds
	}{
		{"one socket", 1, 1, 2}, // one is being handled, one waits
		{"ten sockets", 10, 1, 3},
		{"ten at a time", 1, 10, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hold := make(chan struct{})
				cfg := unlimited
				cfg.Concurrency = tt.concurrency
				io := newServer(t, cfg)
				var handled atomic.Int32
				c := dial(t, io)
				var texts []string
				for i := range tt.namespaces {
					name := fmt.Sprint("/n", i)
					io.Of(name).On("slow", func(*socketbridge.Packet) error { <-hold; handled.Add(1); return nil })
					c.join(name)
				}
				for i := range 8 {
					texts = append(texts, large(fmt.Sprint("/n", i%tt.namespaces), "slow"))
				}
				read := c.flood(texts...)
				if got := read.Load(); got != tt.wantRead {
					t.Errorf("%d events of 1 MB were read, want %d", got, tt.wantRead)
				}
				close(hold)
				synctest.Wait()
				if got := handled.Load(); got != 8 {
					t.Errorf("%d events were handled, want 8", got)
				}
				if got := io.HeldBytes(); got != 0 {
					t.Errorf("%d bytes are still counted", got)
				}
			})
		})
	}
}

// Above the server's limit each client can have one event that waits, so all are served.
func TestS11_EventsOfAllClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		io := newServer(t, unlimited)
		var handled atomic.Int32
		io.On("slow", func(*socketbridge.Packet) error { <-hold; handled.Add(1); return nil })
		io.HoldBytes(socketbridge.MaxServerBytes)
		for range 5 {
			c := join(t, io, "/")
			if got := c.flood(repeated(`2["slow",1]`, 20)...).Load(); got != 2 {
				t.Errorf("%d small events were read, want one that is handled and one that waits", got)
			}
		}
		close(hold)
		synctest.Wait()
		if got := handled.Load(); got != 100 {
			t.Errorf("%d events were handled, want 100", got)
		}
		if got := io.HeldBytes(); got != socketbridge.MaxServerBytes {
			t.Errorf("%d bytes are counted, want those of the other clients", got)
		}
		io.HoldBytes(-socketbridge.MaxServerBytes)
	})
}

// Answers that wait behind events for their EmitWithAckFunc count like events.
func TestS11_AnswersThatWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		io := newServer(t, unlimited)
		var answered atomic.Int32
		io.On("slow", func(*socketbridge.Packet) error { <-hold; return nil })
		io.OnConnection(func(s *socketbridge.Socket) {
			for range 6 {
				if err := s.EmitWithAckFunc("ask", func(_ socketbridge.Answer, err error) {
					if err == nil {
						answered.Add(1)
					}
				}); err != nil {
					t.Error(err)
				}
			}
		})
		c := join(t, io, "/")
		var texts []string
		for range 6 {
			id, _, _ := strings.Cut(strings.TrimPrefix(c.next(), "2"), "[")
			texts = append(texts, "3"+id+`["`+strings.Repeat("a", 990_000)+`"]`)
		}
		c.send(`2["slow"]`)
		if got := c.flood(texts...).Load(); got != 2 {
			t.Errorf("%d answers of 1 MB were read while an event is handled, want 2", got)
		}
		close(hold)
		synctest.Wait()
		if got := answered.Load(); got != 6 {
			t.Errorf("%d answers arrived, want 6", got)
		}
		if got := io.HeldBytes(); got != 0 {
			t.Errorf("%d bytes are still counted", got)
		}
	})
}

// A handler of a large event that waits for the client gets its answer, although the client
// sent another large event before it.
func TestS11_AHandlerThatWaitsForItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, unlimited)
		answers := make(chan error, 1)
		io.On("asks", func(p *socketbridge.Packet) error {
			_, err := p.Socket().EmitWithAck(context.Background(), "ask")
			answers <- err
			return nil
		})
		io.On("e", func(*socketbridge.Packet) error { return nil })
		c := join(t, io, "/")
		c.send(large("/", "asks"))
		question := c.next()
		c.flood(large("/", "e"), "3"+strings.TrimSuffix(strings.TrimPrefix(question, "2"), `["ask"]`)+`[]`)
		if err := <-answers; err != nil {
			t.Error(err)
		}
	})
}

// A handler that waits for the end of its socket gets it, although the reader is held back:
// the connection's end releases the reader, whose event is handled.
func TestS11_AHandlerThatWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][]string{
		"bytes": repeated(large("/", "waits"), 4),
		"count": repeated(`2["waits"]`, 4),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := unlimited
				cfg.Limits.MaxInbox = 2
				io := newServer(t, cfg)
				var handled atomic.Int32
				io.On("waits", func(p *socketbridge.Packet) error { <-p.Socket().Done(); handled.Add(1); return nil })
				c := join(t, io, "/")
				read := c.flood(texts...).Load()
				c.leave()
				synctest.Wait()
				if got := handled.Load(); got != read+1 {
					t.Errorf("%d events were handled, want the %d that were read and the one that the reader held", got, read)
				}
				if got := io.HeldBytes(); got != 0 {
					t.Errorf("%d bytes are still counted", got)
				}
			})
		})
	}
}

// The end of a socket releases a reader that holds back one of its events.
func TestS11_AReaderDoesNotWaitForAnEndedSocket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		io := newServer(t, unlimited)
		io.On("slow", func(*socketbridge.Packet) error { <-hold; return nil })
		io.Of("/other").On("e", func(*socketbridge.Packet) error { return nil })
		c := join(t, io, "/")
		c.join("/other")
		read := c.flood(large("/", "slow"), large("/", "slow"), large("/other", "e"))
		if got := read.Load(); got != 2 {
			t.Fatalf("%d events were read, want 2", got)
		}
		io.Of("/other").Sockets()[0].Disconnect()
		synctest.Wait()
		if got := read.Load(); got != 3 {
			t.Error("the reader still waits to queue an event of a socket that has ended")
		}
		close(hold)
	})
}

// Whatever ends a socket, its events are not counted any more.
func TestS11_NothingStaysCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		for range 15 {
			cfg := unlimited
			cfg.Concurrency, cfg.Limits.MaxInbox = 1+random.IntN(3), 1+random.IntN(5)
			io := newServer(t, cfg)
			hold := make(chan struct{})
			for _, ns := range []string{"/", "/other"} {
				io.Of(ns).On("e", func(*socketbridge.Packet) error { <-hold; return nil })
			}
			c := join(t, io, "/")
			c.join("/other")
			var texts []string
			for range 10 {
				ns := []string{"", "/other,"}[random.IntN(2)]
				texts = append(texts, fmt.Sprintf(`2%s["e","%s"]`, ns, strings.Repeat("a", random.IntN(600_000))))
			}
			c.flood(texts...)
			switch s := io.Sockets()[0]; random.IntN(4) {
			case 0:
				s.Disconnect()
			case 1:
				s.Close()
			case 2:
				go c.leave() // waits for the handlers
			}
			synctest.Wait()
			if random.IntN(2) == 0 {
				for range random.IntN(4) {
					select {
					case hold <- struct{}{}:
					default:
					}
					synctest.Wait()
				}
				io.Of("/other").Broadcast().Disconnect(true)
			}
			close(hold)
			synctest.Wait()
			if got := io.HeldBytes(); got != 0 {
				t.Fatalf("%d bytes are still counted", got)
			}
			c.leave()
		}
	})
}
