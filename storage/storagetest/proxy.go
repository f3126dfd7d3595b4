package storagetest

import (
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

	mu      sync.Mutex // guards what follows
	conns   map[net.Conn]struct{}
	refuse  bool
	stopped chan struct{} // closed by Resume; nil while all passes
}

// NewProxy starts a proxy to the server at target ("host:port"), and ends it when the
// test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, l: l, conns: make(map[net.Conn]struct{})}
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
func (p *Proxy) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped == nil {
		p.stopped = make(chan struct{})
	}
}

// Resume ends Stop: all that was held up passes.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped != nil {
		close(p.stopped)
		p.stopped = nil
	}
}

// wait waits while the proxy is stopped.
func (p *Proxy) wait() {
	p.mu.Lock()
	stopped := p.stopped
	p.mu.Unlock()
	if stopped != nil {
		<-stopped
	}
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
			var back sync.WaitGroup
			back.Go(func() { // waited for below
				p.pass(client, server)
				_ = client.Close()
			})
			p.pass(server, client)
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

// pass passes on what comes from one side to the other.
func (p *Proxy) pass(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.wait()
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
