package redis_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a storage and its server and harms the answers.
type proxy struct {
	t      testing.TB
	target string
	l      net.Listener
	wg     sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]struct{}
	// cut, if set, is looked for in requests: the first connection that carries it
	// is closed after the server had the request and before the client has an answer.
	cut []byte
	// holding keeps answers back until release; seen gets a token for each request
	// chunk that comes meanwhile.
	holding chan struct{}
	seen    chan struct{}
	// jammed keeps requests back until release; jams gets a token for each chunk.
	jammed chan struct{}
	jams   chan struct{}
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, target: target, l: l, conns: map[net.Conn]struct{}{}, seen: make(chan struct{}, 1024), jams: make(chan struct{}, 1024)}
	p.wg.Go(p.accept) // ends when l closes; the cleanup waits
	t.Cleanup(func() {
		p.release()
		_ = l.Close()
		p.closeAll()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.l.Addr().String() + "/0" }

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		p.mu.Unlock()
		lose := make(chan struct{})
		p.wg.Go(func() { p.forward(client, server, lose) })
		p.wg.Go(func() { p.back(client, server, lose) })
	}
}

// forward passes requests on.
func (p *proxy) forward(client, server net.Conn, lose chan struct{}) {
	defer server.Close()
	buf := make([]byte, 1<<16)
	lost := false
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		if !lost && len(p.cut) > 0 && bytes.Contains(buf[:n], p.cut) {
			lost, p.cut = true, nil
			close(lose)
		}
		holding, jammed := p.holding != nil, p.jammed
		p.mu.Unlock()
		if jammed != nil {
			p.jams <- struct{}{}
			<-jammed
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if holding {
			p.seen <- struct{}{}
		}
	}
}

// back passes answers on, late or never.
func (p *proxy) back(client, server net.Conn, lose chan struct{}) {
	defer client.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-lose:
			return
		default:
		}
		p.mu.Lock()
		holding := p.holding
		p.mu.Unlock()
		if holding != nil {
			<-holding
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) cutAfter(request string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = []byte(request)
}

func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding = make(chan struct{})
}

func (p *proxy) jam() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jammed = make(chan struct{})
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.jammed != nil {
		close(p.jammed)
		p.jammed = nil
	}
	if p.holding != nil {
		close(p.holding)
		p.holding = nil
	}
}

func (p *proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// mute starts a server that takes connections and never says a word.
func mute(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // ends when l closes; the cleanup waits
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { // ends when the peer closes
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}
