package storagetest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a storage and its server, and cuts or stops what passes: the
// network of one node, while the others have theirs. It is safe for concurrent use.
type Proxy struct {
	target string
	l      net.Listener
	wg     sync.WaitGroup
	asked  chan struct{}

	mu      sync.Mutex // guards what follows
	conns   map[net.Conn]struct{}
	refuse  bool
	stopped chan struct{} // closed by Resume; nil while all passes
	answers bool          // only they are stopped
	lose    []byte        // of what request the answer is lost; nil: of none
}

// NewProxy starts a proxy to the server at target ("host:port"), and ends it when the
// test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, l: l, conns: make(map[net.Conn]struct{}), asked: make(chan struct{}, 1024)}
	p.wg.Go(p.accept) // ends when l closes; the cleanup waits
	t.Cleanup(func() {
		_ = l.Close()
		p.Refuse(true)
		p.Resume()
		p.wg.Wait()
	})
	return p
}

// Addr is the proxy's "host:port".
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// URL is what storage.Open takes for a Redis behind the proxy, for database 0.
func (p *Proxy) URL() string { return "redis://" + p.Addr() + "/0" }

// Cut breaks all connections; what was under way may have reached the server or not.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Refuse breaks all connections and, while it is on, every new one.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	p.refuse = on
	p.mu.Unlock()
	if on {
		p.Cut()
	}
}

// Stop lets nothing pass any more, either way, and closes nothing: a network that
// swallows packets. New connections are taken and get no answer.
func (p *Proxy) Stop() { p.stop(false) }

// StopAnswers is Stop for what the server says: it gets what it is asked.
func (p *Proxy) StopAnswers() { p.stop(true) }

func (p *Proxy) stop(answers bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = answers
	if p.stopped == nil {
		p.stopped = make(chan struct{})
	}
}

// Resume ends Stop and StopAnswers: all that was held up passes.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped != nil {
		close(p.stopped)
		p.stopped = nil
	}
}

// Asked has something for each piece of a request that came while the proxy was
// stopped: when it is held up or, with StopAnswers, when the server has it.
func (p *Proxy) Asked() <-chan struct{} { return p.asked }

// LoseAnswer breaks the next connection on which a text is sent, once the server has it
// and before the answer is there.
func (p *Proxy) LoseAnswer(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = []byte(text)
}

func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		if !p.enter(client) {
			continue
		}
		p.wg.Go(func() { // ends with the connection
			defer p.leave(client)
			server, err := net.Dial("tcp", p.target)
			if err != nil || !p.enter(server) {
				return
			}
			defer p.leave(server)
			lost := make(chan struct{})
			var back sync.WaitGroup
			back.Go(func() { // waited for below
				p.answer(client, server, lost)
				_ = client.Close()
			})
			p.request(server, client, lost)
			_ = server.Close()
			back.Wait()
		})
	}
}

// enter notes a connection, or closes it.
func (p *Proxy) enter(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) leave(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// request passes on what a client sends. It closes lost when the answer is to be.
func (p *Proxy) request(server io.Writer, client io.Reader, lost chan struct{}) {
	lose := sync.OnceFunc(func() { close(lost) })
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		if len(p.lose) > 0 && bytes.Contains(buf[:n], p.lose) {
			p.lose = nil
			lose()
		}
		stopped, answers := p.stopped, p.answers
		p.mu.Unlock()
		if stopped != nil && !answers {
			p.ask()
			<-stopped
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if stopped != nil && answers {
			p.ask()
		}
	}
}

func (p *Proxy) ask() {
	select {
	case p.asked <- struct{}{}:
	default: // nobody counts so many
	}
}

// answer passes on what the server says.
func (p *Proxy) answer(client io.Writer, server io.Reader, lost chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-lost:
			return
		default:
		}
		p.mu.Lock()
		stopped := p.stopped
		p.mu.Unlock()
		if stopped != nil {
			<-stopped
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}
