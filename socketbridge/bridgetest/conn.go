package bridgetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/inmemory"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// unlimited are the limits of a client, which trusts its server.
var unlimited = siopacket.Limits{
	MaxAttachments: 1000, MaxAttachmentBytes: math.MaxInt, MaxNamespace: math.MaxInt32, MaxEventName: math.MaxInt32,
	MaxArgs: math.MaxInt32, MaxAuth: math.MaxInt32, MaxDepth: 1000,
}

// conn is the connection of a visitor: the transport.Conn that the server has, and its client,
// which passes packets to the Client of their namespace. A worker goroutine reads what the
// server sends, and lives only while there is something to read. The server counts it among the
// goroutines of the app, so that Receiver.Settle waits for it.
type conn struct {
	*transporttest.Conn // nil before the server takes the connection
	receiver            inmemory.Receiver
	decoder             siopacket.Decoder // only the worker uses it

	mu      sync.Mutex
	clients map[string]*Client // by namespace, those that have not ended
	all     []*Client
	working bool // there is a worker
	more    bool // the worker has to look again
}

// begin creates the server's side of the connection.
func (k *conn) begin(hs *transport.Handshake) {
	k.Conn = transporttest.NewConn(hs)
	k.decoder.Limits = unlimited
}

// Attach implements inmemory.Conn.
func (k *conn) Attach(r transport.Receiver) {
	receiver, ok := r.(inmemory.Receiver)
	if !ok {
		panic("bridgetest: the server is not a socketbridge.Server")
	}
	receiver.Observe(k)
	k.mu.Lock()
	k.receiver = receiver
	k.mu.Unlock()
	k.Conn.Attach(r)
	k.wake()
}

// Send implements transport.Conn. The server may hold locks, so the packets are read by the
// worker.
func (k *conn) Send(f transport.Flags, msgs ...transport.Message) error {
	if err := k.Conn.Send(f, msgs...); err != nil {
		return err
	}
	k.wake()
	return nil
}

// Close implements transport.Conn.
func (k *conn) Close(r transport.Reason) {
	k.Conn.Close(r)
	k.wake()
}

// leave ends the connection from the client's side, and waits until the server has noticed.
func (k *conn) leave() {
	k.Leave(transport.TransportClose, nil)
	k.wake()
}

// wake starts the worker, or makes it look again.
func (k *conn) wake() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.more = true
	if !k.working && k.receiver != nil {
		k.working = true
		k.receiver.Go(k.work)
	}
}

// work reads what the server has sent.
func (k *conn) work() {
	now, cancel := context.WithCancel(context.Background())
	cancel() // Next returns what is there, and does not wait
	for {
		k.mu.Lock()
		if !k.more {
			k.working = false
			k.mu.Unlock()
			return
		}
		k.more = false
		k.mu.Unlock()
		for {
			m, err := k.Next(now)
			if errors.Is(err, transport.ErrClosed) {
				k.closed()
			}
			if err != nil {
				break
			}
			k.read(m)
		}
	}
}

// read handles one message of the server.
func (k *conn) read(m transport.Message) {
	var p siopacket.Packet
	var err error
	done := true
	switch {
	case k.receiver.UsesMsgpack():
		p, err = msgpack.DecodePacket(&k.decoder, m.Data, math.MaxInt)
	case m.Binary:
		p, done, err = k.decoder.Binary(m.Data)
	default:
		p, done, err = k.decoder.Text(m.Data)
	}
	if err != nil || !done {
		if c := k.anyClient(); err != nil && c != nil {
			c.t.Errorf("bridgetest: the server sent a packet that a client cannot read: %v", err)
		}
		return
	}
	k.mu.Lock()
	c := k.clients[p.Namespace]
	if c != nil && (p.Type == siopacket.Disconnect || p.Type == siopacket.ConnectError) {
		delete(k.clients, p.Namespace)
	}
	k.mu.Unlock()
	if c != nil {
		c.receive(p)
	}
}

func (k *conn) anyClient() *Client {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.all) == 0 {
		return nil
	}
	return k.all[0]
}

// closed tells all clients that the connection has ended.
func (k *conn) closed() {
	k.mu.Lock()
	clients := k.clients
	k.clients = nil
	k.mu.Unlock()
	for _, c := range clients {
		c.end(true)
	}
}

// add makes c the client of its namespace. It returns false if there is one already.
func (k *conn) add(c *Client) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.clients[c.namespace] != nil {
		return false
	}
	if k.clients == nil {
		k.clients = make(map[string]*Client)
	}
	k.clients[c.namespace] = c
	k.all = append(k.all, c)
	return true
}

// remove removes a client that leaves its namespace. It reports whether it was the last.
func (k *conn) remove(c *Client) (last bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.clients[c.namespace] == c {
		delete(k.clients, c.namespace)
	}
	return len(k.clients) == 0
}

// send sends a packet to the server. It returns when the server has queued it.
func (k *conn) send(h siopacket.Header, args ...any) error {
	text, attachments, err := siopacket.Append(nil, h, args...)
	if err != nil {
		return err
	}
	if k.receiver.UsesMsgpack() {
		return k.sendPacked(text, attachments)
	}
	msgs := make([]transport.Message, 0, 1+len(attachments))
	msgs = append(msgs, transport.Message{Data: text})
	for _, data := range attachments {
		msgs = append(msgs, transport.Message{Binary: true, Data: slices.Clone(data)}) // Deliver overwrites it
	}
	if err = k.Deliver(msgs...); err != nil {
		k.wake()
	}
	return err
}

func (k *conn) sendPacked(text []byte, attachments [][]byte) error {
	d := siopacket.Decoder{Limits: unlimited}
	p, done, err := d.Text(text)
	for i := 0; err == nil && !done; i++ {
		p, done, err = d.Binary(attachments[i])
	}
	if err != nil {
		return err
	}
	data, err := msgpack.AppendPacket(nil, p.Header, p.Data, p.Attachments)
	if err != nil {
		return err
	}
	err = k.Binary(data)
	if err != nil {
		k.wake()
	}
	return err
}

// Connected implements inmemory.Observer.
func (k *conn) Connected(namespace string, socket any) {
	if c := k.last(namespace); c != nil {
		c.update(func() { c.socket, _ = socket.(*socketbridge.Socket) })
	}
}

// Refused implements inmemory.Observer.
func (k *conn) Refused(namespace string, err error) {
	if c := k.last(namespace); c != nil {
		c.update(func() { c.refusedBy = err })
	}
}

// Handled implements inmemory.Observer.
func (k *conn) Handled(namespace string, id uint64, asked bool, err error) {
	if c := k.last(namespace); c != nil {
		c.update(func() { c.handled(id, asked, err) })
	}
}

// Disconnected implements inmemory.Observer. The worker may not have read the confirmation of the
// CONNECT yet, from which the client knows its ID.
func (k *conn) Disconnected(namespace, socketID string, reason transport.Reason) {
	if c := k.last(namespace); c != nil {
		c.update(func() {
			if c.conn == k {
				c.finished, c.finishedReason = socketID, reason
			}
		})
	}
}

// last returns the client that joined a namespace last, even if it has left.
func (k *conn) last(namespace string) *Client {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(k.all) - 1; i >= 0; i-- {
		if k.all[i].namespace == namespace {
			return k.all[i]
		}
	}
	return nil
}
