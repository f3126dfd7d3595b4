package bridgetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// waitTimeout is how long Want, Ask and the others wait before they fail. What a handler causes
// arrives within microseconds; the rest is for busy machines.
const waitTimeout = 5 * time.Second

// Client is a Socket.IO client in one namespace. Create it with Dial, TryDial, Visitor.Dial or
// Client.Join. It keeps the events that arrive until Want, Next or Discard takes them.
//
// Its methods are safe for concurrent use. Those that need something to be true end the test if
// it is not (TB.Fatalf), so call them on the test's goroutine. The connection ends with the
// test.
type Client struct {
	t         TB
	visitor   *Visitor
	namespace string
	auth      any
	header    options // of the handshake, for Reconnect

	mu      sync.Mutex    // guards the fields below
	changed chan struct{} // closed when one of them changes; nil without a waiter
	conn    *conn
	on      map[string]func(*Event)
	events  []*Event
	replies map[uint64]*Reply // that are waited for, by ID
	lastID  uint64
	errs    []error // of handlers
	state

	pid, offset string // for connection state recovery
}

// state is what a client knows of its current socket.
type state struct {
	sid        string               // once the CONNECT is confirmed
	socket     *socketbridge.Socket // once the connection handlers have returned
	refusal    *DialError
	refusedBy  error // what the server refused it with
	ended      bool
	reconnects bool // see WillReconnect
	recovered  bool

	finished       string // the ID of the last socket whose disconnect handlers have returned
	finishedReason transport.Reason
}

// reason returns what the disconnect handlers got, or "" if they have not returned.
func (s *state) reason() transport.Reason {
	if s.sid == "" || s.finished != s.sid {
		return ""
	}
	return s.finishedReason
}

// Dial connects a client to the server, and ends the test if the client is refused. It returns
// when the connection handlers have returned, or when one of them waits for an answer of this
// client. It is short for Visit(t, io, opts...).Dial().
func Dial(t TB, io *socketbridge.Server, opts ...Option) *Client {
	t.Helper()
	return Visit(t, io, opts...).Dial()
}

// TryDial is Dial for a client that may be refused. The error is a *DialError then.
func TryDial(t TB, io *socketbridge.Server, opts ...Option) (*Client, error) {
	t.Helper()
	return Visit(t, io, opts...).TryDial()
}

// Dial connects a socket with the visitor's cookies, like another tab. See the function Dial.
func (v *Visitor) Dial(opts ...Option) *Client {
	v.t.Helper()
	c, err := v.TryDial(opts...)
	if err != nil {
		v.t.Fatalf("bridgetest: Dial: %v", err)
	}
	return c
}

// TryDial is Dial for a client that may be refused. The error is a *DialError then.
func (v *Visitor) TryDial(opts ...Option) (*Client, error) {
	v.t.Helper()
	o := v.options
	o.values, o.user = nil, nil
	if o = o.with(opts); o.begins() {
		panic("bridgetest: Session and User are options of Visit: a visitor has one session")
	}
	c := newClient(v, o)
	k, err := v.open(o)
	if err != nil {
		return nil, err
	}
	v.t.Cleanup(func() {
		c.mu.Lock()
		k := c.conn
		c.mu.Unlock()
		k.leave()
		_ = c.settle() // so that no goroutine outlives the test; a handler that still runs is no business of the client
	})
	if err := c.join(k); err != nil {
		return nil, err
	}
	return c, nil
}

func newClient(v *Visitor, o options) *Client {
	namespace := "/" + strings.TrimPrefix(o.namespace, "/")
	return &Client{t: v.t, visitor: v, namespace: namespace, auth: o.auth, header: o, on: o.on}
}

// Join connects the client to one more namespace, over the same connection. Of the options, Auth
// and On count. It ends the test if the namespace refuses the client; to test that, use TryDial
// with Namespace.
func (c *Client) Join(namespace string, opts ...Option) *Client {
	c.t.Helper()
	other := newClient(c.visitor, options{}.with(append(opts, Namespace(namespace))))
	other.header = c.header
	if err := other.join(c.connection()); err != nil {
		c.t.Fatalf("bridgetest: Join(%q): %v", namespace, err)
	}
	return other
}

// join joins the client's namespace over a connection.
func (c *Client) join(k *conn) error {
	c.update(func() { c.conn, c.state = k, state{} })
	if !k.add(c) {
		return fmt.Errorf("bridgetest: the connection is in the namespace %s already", c.namespace)
	}
	auth, err := c.connectPayload()
	if err != nil {
		return err
	}
	var args []any
	if auth != nil {
		args = []any{auth}
	}
	if err := k.send(siopacket.Header{Type: siopacket.Connect, Namespace: c.namespace}, args...); err != nil {
		return fmt.Errorf("bridgetest: CONNECT: %w", err)
	}
	if !c.await(func() bool { // the server can be done before the worker has read the confirmation
		asks := slices.ContainsFunc(c.events, (*Event).Asked) // a connection handler waits for an answer
		return c.ended || c.sid != "" && (c.socket != nil || asks)
	}) {
		return fmt.Errorf("bridgetest: the CONNECT to %s was not answered within %v: does a middleware or connection handler block?", c.namespace, waitTimeout)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.refusal != nil:
		c.refusal.Err = c.refusedBy
		return c.refusal
	case c.sid == "":
		return &DialError{Message: "the server closed the connection", Err: c.refusedBy}
	}
	return nil
}

// connectPayload returns the payload of the CONNECT: the auth option, and what the client knows
// for connection state recovery.
func (c *Client) connectPayload() (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == "" {
		return c.auth, nil
	}
	payload := map[string]json.RawMessage{}
	if c.auth != nil {
		data, err := json.Marshal(c.auth)
		if err == nil {
			err = json.Unmarshal(data, &payload)
		}
		if err != nil {
			return nil, fmt.Errorf("bridgetest: Auth: %w", err)
		}
	}
	payload["pid"] = siopacket.AppendString(nil, c.pid)
	if c.offset != "" {
		payload["offset"] = siopacket.AppendString(nil, c.offset)
	}
	return payload, nil
}

// Emit sends an event. It returns when the server has queued it. Settle waits until it is
// handled.
func (c *Client) Emit(event string, args ...any) {
	c.t.Helper()
	if err := c.emit(siopacket.Header{Type: siopacket.Event}, event, args); err != nil {
		c.t.Fatalf("bridgetest: Emit(%q): %v", event, err)
	}
}

func (c *Client) emit(h siopacket.Header, event string, args []any) error {
	if siopacket.Reserved(event) {
		return socketbridge.ErrReservedEvent
	}
	h.Namespace = c.namespace
	c.mu.Lock()
	over, k := c.ended, c.conn
	c.mu.Unlock()
	if over {
		return fmt.Errorf("the client is disconnected%s", c.why())
	}
	return k.send(h, append([]any{event}, args...)...)
}

// Ask sends an event and waits for its acknowledgement. It ends the test if none comes.
func (c *Client) Ask(event string, args ...any) *Reply {
	c.t.Helper()
	r := &Reply{client: c, event: event}
	c.update(func() {
		c.lastID++
		r.id = c.lastID
		if c.replies == nil {
			c.replies = make(map[uint64]*Reply)
		}
		c.replies[r.id] = r
	})
	if err := c.emit(siopacket.Header{Type: siopacket.Event, ID: r.id, HasID: true}, event, args); err != nil {
		c.t.Fatalf("bridgetest: Ask(%q): %v", event, err)
	}
	c.await(func() bool { return r.answered || c.ended })
	c.mu.Lock()
	delete(c.replies, r.id)
	answered, handled, err, over := r.answered, r.handled, r.err, c.ended
	c.mu.Unlock()
	switch {
	case answered:
	case over:
		c.t.Fatalf("bridgetest: Ask(%q): the client was disconnected%s", event, c.why())
	case handled && err != nil:
		c.t.Fatalf("bridgetest: Ask(%q) was not answered: its handler returned: %v", event, err)
	case handled:
		c.t.Fatalf("bridgetest: Ask(%q) was not answered within %v: no handler of the event called Ack, or there is none", event, waitTimeout)
	default:
		c.t.Fatalf("bridgetest: Ask(%q) was not answered within %v: its handler has not returned", event, waitTimeout)
	}
	return r
}

// Want takes the first event with this name that has arrived, or waits for it. Events with other
// names stay, in their order. Each of want is compared with an argument of the event: what a
// pointer points to is set to the argument, and other values must be equal to it, as Go values of
// their type or as JSON. nil skips an argument, and further arguments are ignored. If no such
// event comes, or if an argument differs, Want ends the test and says what arrived instead.
func (c *Client) Want(event string, want ...any) *Event {
	c.t.Helper()
	e := c.take(func(e *Event) bool { return e.Name == event })
	if e == nil {
		c.t.Fatalf("bridgetest: no event %q within %v; %s", event, waitTimeout, c.arrived())
	}
	if err := e.match(want); err != nil {
		c.t.Fatalf("bridgetest: the event %s: %v", e, err)
	}
	return e
}

// Next takes the next event of any name, or waits for it. It ends the test if none comes.
func (c *Client) Next() *Event {
	c.t.Helper()
	e := c.take(func(*Event) bool { return true })
	if e == nil {
		c.t.Fatalf("bridgetest: no event within %v; %s", waitTimeout, c.arrived())
	}
	return e
}

// take removes the first event that fits, or waits for it. It returns nil if none comes.
func (c *Client) take(fits func(*Event) bool) (e *Event) {
	c.await(func() bool {
		if i := slices.IndexFunc(c.events, fits); i >= 0 {
			e = c.events[i]
			c.events = slices.Delete(c.events, i, i+1)
		}
		return e != nil || c.ended
	})
	return e
}

// WantNothing fails the test if one of these events has arrived and was not taken; without names,
// if any has. First it waits, like Settle, until the server has done all that this and other
// clients, and requests, have caused.
func (c *Client) WantNothing(events ...string) {
	c.t.Helper()
	c.Settle()
	c.mu.Lock()
	defer c.mu.Unlock()
	var unwanted []*Event
	for _, e := range c.events {
		if len(events) == 0 || slices.Contains(events, e.Name) {
			unwanted = append(unwanted, e)
		}
	}
	if len(unwanted) > 0 {
		c.t.Errorf("bridgetest: got %s, want nothing", list(unwanted))
	}
}

// Discard forgets the events that have arrived, after Settle.
func (c *Client) Discard() {
	c.t.Helper()
	c.Settle()
	c.update(func() { c.events = nil })
}

// On calls fn for each event with this name, instead of keeping it for Want. fn runs on the
// client's own goroutine, in the order in which events arrive, and must not wait for this client.
// It replaces an earlier function for the name; with nil, events are kept again. Use it to answer
// the server's EmitWithAck: e.Answer.
func (c *Client) On(event string, fn func(e *Event)) {
	c.update(func() {
		if c.on == nil {
			c.on = make(map[string]func(*Event))
		}
		c.on[event] = fn
	})
}

// Settle waits until the server has handled all events that were sent to it, by any client, and
// has nothing to do any more: handlers, room events, presence and session changes are done, and
// the events that they sent have arrived. What waits for time to pass, or on a goroutine of the
// app, does not count, and neither does what other nodes still have to do.
//
// In a bubble of testing/synctest, Settle is synctest.Wait: it waits until every goroutine of the
// bubble waits for something, those of the app and of other nodes included. Outside of a bubble,
// it ends the test if a handler does not return.
func (c *Client) Settle() {
	c.t.Helper()
	if err := c.settle(); err != nil {
		c.t.Fatalf("bridgetest: a handler has been running for %v: outside of a synctest bubble, Settle and WantNothing need it to return", waitTimeout)
	}
}

func (c *Client) settle() error {
	if waitInBubble() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	return c.connection().receiver.Settle(ctx)
}

// waitInBubble calls synctest.Wait. It returns false outside of a bubble, and if another
// goroutine of the bubble waits already: Wait panics then.
func waitInBubble() (ok bool) {
	defer func() { ok = recover() == nil }()
	synctest.Wait()
	return true
}

// Disconnected waits until the client is disconnected, by either side, and its disconnect
// handlers have returned. It returns the reason that they got. It ends the test if the client
// stays connected.
func (c *Client) Disconnected() socketbridge.Reason {
	c.t.Helper()
	if !c.await(func() bool { return c.ended && c.reason() != "" }) {
		c.mu.Lock()
		over := c.ended
		c.mu.Unlock()
		if over {
			c.t.Fatalf("bridgetest: the client is disconnected, but a handler of its socket has been running for %v", waitTimeout)
		}
		c.t.Fatalf("bridgetest: the client is still connected after %v", waitTimeout)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason()
}

// WillReconnect reports whether a Socket.IO client would now reconnect on its own: it is
// disconnected, and neither side has ended the socket on purpose. It waits for nothing: call
// Disconnected first.
func (c *Client) WillReconnect() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended && c.reconnects
}

// Connected reports whether the client is connected. It waits for nothing: call Settle first.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sid != "" && !c.ended
}

// Disconnect leaves the namespace, as the client's socket.disconnect(). The disconnect handlers
// get socketbridge.ClientDisconnect. They may run after Disconnect has returned: Disconnected
// waits for them.
func (c *Client) Disconnect() {
	c.t.Helper()
	c.mu.Lock()
	over, k := c.ended, c.conn
	c.mu.Unlock()
	if over {
		return
	}
	if err := k.send(siopacket.Header{Type: siopacket.Disconnect, Namespace: c.namespace}); err != nil {
		c.t.Fatalf("bridgetest: Disconnect: %v", err)
	}
	last := k.remove(c)
	c.end(false)
	if last {
		k.leave()
	}
}

// Drop breaks the connection with all its namespaces, as a network that fails. The disconnect
// handlers get transport.TransportClose. They may run after Drop has returned: Disconnected waits
// for them.
func (c *Client) Drop() {
	c.connection().leave()
	c.await(func() bool { return c.ended })
}

// Reconnect connects the client again after it was disconnected, as a Socket.IO client does: with
// a new handshake, the visitor's cookies of now, the same options, and what the server needs for
// connection state recovery. It ends the test if the client is refused. Clients of other
// namespaces on the old connection stay disconnected.
func (c *Client) Reconnect() {
	c.t.Helper()
	if !c.await(func() bool { return c.ended }) {
		c.t.Fatalf("bridgetest: Reconnect: the client is still connected; call Drop or Disconnect first")
	}
	k, err := c.visitor.open(c.header)
	if err == nil {
		old := c.connection()
		if err = c.join(k); err != nil {
			k.leave()
			c.update(func() { c.conn = old })
		}
	}
	if err != nil {
		c.t.Fatalf("bridgetest: Reconnect: %v", err)
	}
}

// Recovered reports whether the last Reconnect has restored the socket of before (see
// socketbridge.Config.Recovery): its ID, rooms and data are the same, and the events that it
// missed have been sent.
func (c *Client) Recovered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recovered
}

// ID returns the socket's ID, as the client knows it.
func (c *Client) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sid
}

// Visitor returns the visitor that the client belongs to, for further tabs and HTTP requests
// with its cookies.
func (c *Client) Visitor() *Visitor { return c.visitor }

// Socket returns the server's side of the client, to look at its rooms and data, or to disconnect
// it. It waits until the connection handlers have returned. It is nil if the server has never let
// the client in: it was told, and disconnected, by handlers of OnInvalidSession.
func (c *Client) Socket() *socketbridge.Socket {
	c.t.Helper()
	if !c.await(func() bool { return c.socket != nil || c.ended }) {
		c.t.Fatalf("bridgetest: the connection handlers have been running for %v", waitTimeout)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.socket
}

// Session returns a handle of the client's session, to look at it and to change it from outside:
// Set and Save, Login, Regenerate, Destroy. It has what is stored, and no unsaved changes of
// handlers. It is released at the end of the test, which fails if there is no session, or if it
// has ended.
func (c *Client) Session() *fibersession.Handle {
	c.t.Helper()
	s := c.Socket()
	if s == nil || s.Session() == nil {
		c.t.Fatalf("bridgetest: the client shares no session")
	}
	if err := s.Session().Err(); err != nil {
		c.t.Fatalf("bridgetest: the client's session: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	h, err := c.visitor.io.Config().Sessions.GetByID(ctx, s.Session().ID())
	if err != nil {
		c.t.Fatalf("bridgetest: the client's session: %v", err)
	}
	c.t.Cleanup(h.Release)
	return h
}

// HandlerErrors returns the errors of the client's events since the last call, in the order in
// which they were handled: those that handlers returned, and those of saving the session. After a
// panic, the error only says so; the server's log has its value and the stack. It settles first.
func (c *Client) HandlerErrors() (errs []error) {
	c.t.Helper()
	c.Settle()
	c.update(func() { errs, c.errs = c.errs, nil })
	return errs
}

// connection returns the current connection.
func (c *Client) connection() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

// update changes what mu guards, and wakes all waiters.
func (c *Client) update(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// await waits until done returns true, and reports whether it did. It calls done with c.mu held.
func (c *Client) await(done func() bool) bool {
	timer := time.NewTimer(waitTimeout)
	defer timer.Stop()
	for {
		c.mu.Lock()
		if done() {
			c.mu.Unlock()
			return true
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			c.mu.Lock()
			defer c.mu.Unlock()
			return done()
		}
	}
}

// arrived describes the events that were not taken, for messages.
func (c *Client) arrived() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := "no other events arrived"
	if len(c.events) > 0 {
		text = "arrived: " + list(c.events)
	}
	for _, err := range c.errs {
		text += fmt.Sprintf("; a handler returned: %v", err)
	}
	if c.ended {
		text += "; the client is disconnected" + c.reasonText()
	}
	return text
}

// why returns the reason of a disconnect for messages.
func (c *Client) why() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reasonText()
}

func (c *Client) reasonText() string {
	if c.reason() == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", c.reason())
}
