package simulation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// socket is a client's connection over polling, and the server's socket of it.
type socket struct {
	node   *node
	since  at // when the handshake was answered
	sid    string
	cookie string

	mu      sync.Mutex // guards the fields below
	closed  bool
	session *session      // nil until the server has accepted the socket
	posting chan struct{} // a client sends one post at a time; no mutex, for which a bubble would not let time pass
	waiting map[int]chan bool
}

// connect opens a connection with a handshake and a CONNECT packet. It returns nil if the server
// refuses one of them.
func (n *node) connect(c *call) *socket {
	k := &socket{node: n, cookie: c.sent, waiting: map[int]chan bool{}, posting: make(chan struct{}, 1)}
	res := n.do("GET", "/socket.io/?EIO=4&transport=polling", c.sent, "", c.number)
	body := string(res.Body())
	_, sid, ok := strings.Cut(body, `"sid":"`)
	if res.StatusCode() != 200 || !ok {
		return nil
	}
	k.sid, _, _ = strings.Cut(sid, `"`)
	if id, _ := newCookie(res); id != "" {
		c.got, k.cookie = id, id
	}
	k.since = n.cluster.oracle.now()
	c.opening = k
	if !k.post("40"+`{"op":`+strconv.Itoa(c.number)+`}`, c.number) {
		return nil
	}
	n.cluster.running.Go(k.poll) // ends with the connection; Run waits for it
	return k
}

func (k *socket) post(body string, op int) bool {
	k.posting <- struct{}{}
	defer func() { <-k.posting }()
	return k.node.do("POST", "/socket.io/?EIO=4&transport=polling&sid="+k.sid, k.cookie, body, op).StatusCode() == 200
}

// poll fetches packets until the connection ends.
func (k *socket) poll() {
	defer k.close()
	for {
		res := k.node.do("GET", "/socket.io/?EIO=4&transport=polling&sid="+k.sid, k.cookie, "", 0)
		if res.StatusCode() != 200 {
			return
		}
		for _, p := range strings.Split(string(res.Body()), "\x1e") {
			switch {
			case p == "2":
				k.post("3", 0)
			case p == "1", p == "6", p == "41", strings.HasPrefix(p, "44"):
				return
			case strings.HasPrefix(p, "43"):
				k.answered(p[2:])
			}
		}
	}
}

// answered passes an answer to the call that waits for it.
func (k *socket) answered(text string) {
	id, args, _ := strings.Cut(text, "[")
	n, _ := strconv.Atoi(id)
	k.mu.Lock()
	ch := k.waiting[n]
	delete(k.waiting, n)
	k.mu.Unlock()
	if ch != nil {
		ch <- !strings.Contains(args, "error")
	}
}

// close ends all calls that wait for an answer.
func (k *socket) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for n, ch := range k.waiting {
		ch <- false
		delete(k.waiting, n)
	}
}

// usable reports whether events can be sent.
func (k *socket) usable() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.closed && k.session != nil
}

// emit sends an event and waits for its answer. It reports whether the event succeeded.
func (k *socket) emit(c *call) bool {
	ch := make(chan bool, 1)
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return false
	}
	k.waiting[c.number] = ch
	k.mu.Unlock()
	if !k.post(fmt.Sprintf(`42%d["op",%[1]d]`, c.number), c.number) {
		return false
	}
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	select {
	case ok := <-ch:
		return ok
	case <-timeout.C:
		return false
	}
}

// leave closes the connection from the client's side.
func (k *socket) leave() { k.post("41", 0) }

// events adds the handlers of the node's sockets.
func (n *node) events() {
	o := n.cluster.oracle
	n.io.OnConnection(func(s *socketbridge.Socket) {
		var auth struct{ Op int }
		if s.Auth(&auth) != nil {
			return
		}
		c := o.call(auth.Op)
		if c == nil {
			s.Disconnect()
			return
		}
		h := s.Session()
		o.observe(c, viewOf(h, h.Fresh(), h.User(), h.Pseudonym("sim")))
		k := c.opening
		k.mu.Lock()
		k.session = c.session
		k.mu.Unlock()
		s.OnDisconnect(func(socketbridge.Reason) { o.disconnected(k) })
		o.connected(k)
		s.On("op", func(p *socketbridge.Packet) error { return k.handle(p) })
	})
}

var errNoCall = errors.New("no such call")

// handle is the handler of all events.
func (k *socket) handle(p *socketbridge.Packet) error {
	o := k.node.cluster.oracle
	var number int
	if err := p.Bind(&number); err != nil {
		return err
	}
	c := o.call(number)
	if c == nil {
		return errNoCall // the client has given the call up
	}
	p.SetLocal("call", c)
	h := p.Session()
	o.observe(c, viewOf(h, h.Fresh(), h.User(), h.Pseudonym("sim")))
	o.changes(c)
	var err error
	switch c.Kind {
	case wsSet:
		h.Set(c.key(), c.value())
	case wsSlow:
		h.Set(c.key(), c.value())
		time.Sleep(time.Duration(c.Arg % uint64(300*time.Millisecond)))
	case wsIncr:
		_, err = h.Incr(p.Context(), "n", 1)
	case wsMove:
		err = h.Update(p.Context(), move)
	case wsEnd:
		if err = h.Destroy(p.Context()); err == nil { // the client gets the disconnect instead of the answer
			o.ended(c.session)
			k.node.cluster.count(c.Kind, true)
		}
	}
	if err != nil {
		return err
	}
	return p.Ack(fmt.Sprint(c.number))
}
