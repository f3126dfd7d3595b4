package redistest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy forwards TCP connections to a server and simulates network faults between
// them. With one Proxy for each node of a test, a fault hits one node while the
// others still reach the server. It is safe for concurrent use.
type Proxy struct {
	l        net.Listener
	wg       sync.WaitGroup
	requests chan struct{}

	mu          sync.Mutex // guards the fields below
	target      string
	conns       map[net.Conn]struct{}
	refuse      bool
	paused      chan struct{} // closed by Resume; nil while the proxy forwards
	repliesOnly bool          // paused holds up replies only
	dropReplyTo []byte        // text of the request whose reply is dropped; nil for none
}

// NewProxy starts a proxy to the server at target ("host:port"), and stops it when
// the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, l: l, conns: make(map[net.Conn]struct{}), requests: make(chan struct{}, 1024)}
	p.wg.Go(p.accept) // ends when l closes; the cleanup waits for it
	t.Cleanup(func() {
		_ = l.Close()
		p.Refuse(true)
		p.Resume()
		p.wg.Wait()
	})
	return p
}

// Addr returns the proxy's "host:port".
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// URL returns the URL for storage.Open of database 0 of the Redis behind the proxy.
func (p *Proxy) URL() string { return "redis://" + p.Addr() + "/0" }

// Retarget makes new connections lead to another server, like a DNS name or a virtual
// IP address after a failover. Open connections stay with their server.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Disconnect closes all connections. Requests in flight may or may not have reached
// the server.
func (p *Proxy) Disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Refuse(true) closes all connections, and every new one at once, until
// Refuse(false).
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	p.refuse = on
	p.mu.Unlock()
	if on {
		p.Disconnect()
	}
}

// Pause holds up requests and replies without closing a connection, like a network
// that drops packets. New connections are accepted but get no reply.
func (p *Proxy) Pause() { p.pause(false) }

// PauseReplies is Pause for replies only: the server still receives requests.
func (p *Proxy) PauseReplies() { p.pause(true) }

func (p *Proxy) pause(repliesOnly bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.repliesOnly = repliesOnly
	if p.paused == nil {
		p.paused = make(chan struct{})
	}
}

// Resume ends Pause and PauseReplies, and forwards everything they held up.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != nil {
		close(p.paused)
		p.paused = nil
	}
}

// Requests returns a channel that receives a value for each chunk of a request that
// arrives while the proxy is paused: with Pause when the chunk is held up, with
// PauseReplies when the server has received it.
func (p *Proxy) Requests() <-chan struct{} { return p.requests }

// DropReply closes the next connection on which a request contains text, after the
// server has received the request and before the client gets its reply.
func (p *Proxy) DropReply(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropReplyTo = []byte(text)
}

func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		if !p.register(client) {
			continue
		}
		p.wg.Go(func() { // ends with the connection
			defer p.unregister(client)
			p.mu.Lock()
			target := p.target
			p.mu.Unlock()
			server, err := net.Dial("tcp", target)
			if err != nil || !p.register(server) {
				return
			}
			defer p.unregister(server)
			dropped := make(chan struct{})
			var replies sync.WaitGroup
			replies.Go(func() { // waited for below
				p.forwardReplies(client, server, dropped)
				_ = client.Close()
			})
			p.forwardRequests(server, client, dropped)
			_ = server.Close()
			replies.Wait()
		})
	}
}

// register adds a connection. If the proxy refuses connections, it closes the
// connection and returns false.
func (p *Proxy) register(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) unregister(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// forwardRequests copies from client to server. It closes dropped when the reply to
// a request must not reach the client.
func (p *Proxy) forwardRequests(server io.Writer, client io.Reader, dropped chan struct{}) {
	drop := sync.OnceFunc(func() { close(dropped) })
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		if len(p.dropReplyTo) > 0 && bytes.Contains(buf[:n], p.dropReplyTo) {
			p.dropReplyTo = nil
			drop()
		}
		paused, repliesOnly := p.paused, p.repliesOnly
		p.mu.Unlock()
		if paused != nil && !repliesOnly {
			p.countRequest()
			<-paused
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if paused != nil && repliesOnly {
			p.countRequest()
		}
	}
}

func (p *Proxy) countRequest() {
	select {
	case p.requests <- struct{}{}:
	default: // full: no test counts that many
	}
}

// forwardReplies copies from server to client until dropped is closed.
func (p *Proxy) forwardReplies(client io.Writer, server io.Reader, dropped chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-dropped:
			return
		default:
		}
		p.mu.Lock()
		paused := p.paused
		p.mu.Unlock()
		if paused != nil {
			<-paused
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}
