package nodetest

import (
	"context"
	"maps"
	"testing"
	"time"
)

// Events of the client itself, in addition to those that the server emits.
const (
	Connected        = "connect"           // {id, transport, recovered}
	ConnectError     = "connect_error"     // {message, data, type, status, body}
	Disconnected     = "disconnect"        // the reason
	Upgraded         = "upgrade"           // the new transport's name
	ReconnectAttempt = "reconnect_attempt" // its number
)

// Options configure a client.
type Options struct {
	// Version is the version of socket.io-client, "4.8", "4.4" or "4.0", or "own" for this
	// repository's client, which does not support upgrades, Cut and SendRaw. In Python it is
	// "sync" or "asyncio". Pages have one version, and ignore it.
	//
	// Optional. Default: "4.8", and in Python "sync"
	Version string
	// Transports are tried in this order: "polling", "websocket".
	//
	// Optional. Default: the client's default: polling, then an upgrade
	Transports []string
	// Path is the path of the server.
	//
	// Optional. Default: "/socket.io/"
	Path string
	// Cookie is the Cookie header of each request. In a page, the browser's cookies are sent
	// instead.
	//
	// Optional. Default: ""
	Cookie string
	// Session sends its cookies with each request of a client in Python.
	//
	// Optional. Default: nil
	Session *HTTPSession
	// Header contains additional headers of each request.
	//
	// Optional. Default: nil
	Header map[string]string
	// Auth is sent with CONNECT.
	//
	// Optional. Default: nil
	Auth any
	// Query is added to the URL of each request.
	//
	// Optional. Default: nil
	Query map[string]string
	// Reconnect makes the client reconnect when the connection is lost.
	//
	// Optional. Default: false
	Reconnect bool
	// Extra contains additional options of the client. They override the others. The
	// parser "msgpack" is socket.io-msgpack-parser.
	//
	// Optional. Default: nil
	Extra map[string]any
	// Count names events that are counted in the Node process instead of being reported:
	// see Client.Counted.
	//
	// Optional. Default: nil
	Count []string
}

func (o Options) encode() map[string]any {
	m := map[string]any{"reconnection": o.Reconnect, "reconnectionDelay": 20, "reconnectionDelayMax": 200, "auth": o.Auth}
	if o.Transports != nil {
		m["transports"] = o.Transports
	}
	if o.Path != "" {
		m["path"] = o.Path
	}
	if o.Query != nil {
		m["query"] = o.Query
	}
	header := map[string]string{}
	maps.Copy(header, o.Header)
	if o.Cookie != "" {
		header["Cookie"] = o.Cookie
	}
	m["extraHeaders"] = header
	if o.Session != nil {
		m["session"] = o.Session.number
	}
	maps.Copy(m, o.Extra)
	return m
}

// Client is one socket of a real client: one connection to one namespace.
type Client struct {
	d      *Driver
	t      testing.TB
	number int
	queue  *eventQueue
}

// State is the current state of a Client.
type State struct {
	ID        string `json:"id"`        // of the socket
	Engine    string `json:"engine"`    // ID of the connection
	Transport string `json:"transport"` // "" unless connected
	Connected bool   `json:"connected"`
	Recovered bool   `json:"recovered"`
}

// Dial starts to connect and returns immediately. The namespace is the path of url.
func (d *Driver) Dial(t testing.TB, url string, o Options) *Client {
	t.Helper()
	c := d.newClient(t)
	if o.Version == "" {
		o.Version = d.version
	}
	d.must(t, "connect", c.command("version", o.Version, "url", url, "options", o.encode(), "count", o.Count), nil)
	return c
}

func (d *Driver) newClient(t testing.TB) *Client {
	c := &Client{d: d, t: t}
	c.number, c.queue = d.number()
	return c
}

// In returns the same client for a subtest, which its methods end if they fail.
func (c *Client) In(t testing.TB) *Client {
	in := *c
	in.t = t
	return &in
}

// Connect is like Dial, but waits until the client is connected, and ends the test if the
// server refuses it. It consumes the event Connected.
func (d *Driver) Connect(t testing.TB, url string, o Options) *Client {
	t.Helper()
	c := d.Dial(t, url, o)
	c.MustConnect()
	return c
}

// Of connects to another namespace over the same connection and waits for it.
func (c *Client) Of(namespace string, auth any) *Client {
	c.t.Helper()
	o := c.DialOf(namespace, auth)
	o.MustConnect()
	return o
}

// DialOf is like Of, but returns immediately.
func (c *Client) DialOf(namespace string, auth any) *Client {
	c.t.Helper()
	o := &Client{d: c.d, t: c.t}
	o.number, o.queue = c.d.number()
	c.d.must(c.t, "of", o.command("parent", c.number, "namespace", namespace, "auth", auth), nil)
	return o
}

// MustConnect waits until the client is connected after Dial, or again after its connection
// was lost. It ends the test if the server refuses the client. It consumes the event Connected.
func (c *Client) MustConnect() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	h, err := c.queue.take(ctx, Connected, ConnectError)
	if err != nil {
		c.t.Fatal(err)
	}
	if h.event == ConnectError {
		c.t.Fatalf("nodetest: server refused the connection: %s", h.args)
	}
}

// Next returns the next occurrence of an event, in order, and waits for it. The events of
// the client itself have constants.
func (c *Client) Next(ctx context.Context, event string) (Args, error) {
	h, err := c.queue.take(ctx, event)
	return h.args, err
}

// MustNext is like Next, but ends the test if the event does not occur within Timeout.
func (c *Client) MustNext(event string) Args {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	args, err := c.Next(ctx, event)
	if err != nil {
		c.t.Fatal(err)
	}
	return args
}

// Waiting returns the number of occurrences of an event that Next has not returned. To
// check that an event did not occur, first wait for an event that would have followed it.
func (c *Client) Waiting(event string) int { return c.queue.count(event) }

// Emit emits an event without an acknowledgement. Its name is a string or a number.
func (c *Client) Emit(event any, args ...any) {
	c.t.Helper()
	c.d.must(c.t, "emit", c.command("event", event, "args", outgoing(args)), nil)
}

// Call emits an event and waits for its acknowledgement.
func (c *Client) Call(ctx context.Context, event any, args ...any) (Args, error) {
	command := c.command("event", event, "args", outgoing(args))
	if deadline, ok := ctx.Deadline(); ok {
		command["timeout"] = max(1, time.Until(deadline).Milliseconds())
	}
	var out Args
	err := c.d.do(ctx, "call", command, &out)
	return out, err
}

// MustCall is like Call, but ends the test if there is no answer within Timeout.
func (c *Client) MustCall(event any, args ...any) Args {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	out, err := c.Call(ctx, event, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// Answer sets the acknowledgement that the client sends for each later occurrence of an
// event. By default the client sends none.
func (c *Client) Answer(event string, args ...any) {
	c.t.Helper()
	c.d.must(c.t, "answer", c.command("event", event, "args", outgoing(args)), nil)
}

// State returns the current state of the client.
func (c *Client) State() State {
	c.t.Helper()
	var s State
	c.d.must(c.t, "state", c.command(), &s)
	return s
}

// Counted describes the occurrences of an event in Options.Count so far.
type Counted struct {
	N        int
	Size     int // of the second arguments together
	Disorder int // how often the first argument was not the number of occurrences before
}

// Counted returns the count of an event in Options.Count. To know that no more will come,
// first wait for an event that the server emits after them.
func (c *Client) Counted(event string) Counted {
	c.t.Helper()
	var counted Counted
	c.d.must(c.t, "counted", c.command("event", event), &counted)
	return counted
}

// SetAuth sets the auth of the next CONNECT.
func (c *Client) SetAuth(auth any) {
	c.t.Helper()
	c.d.must(c.t, "auth", c.command("auth", auth), nil)
}

// SetHeader sets a header of the requests of the next connection.
func (c *Client) SetHeader(name, value string) {
	c.t.Helper()
	c.d.must(c.t, "header", c.command("name", name, "value", value), nil)
}

// Close disconnects, as socket.disconnect() does.
func (c *Client) Close() {
	c.t.Helper()
	c.d.must(c.t, "disconnect", c.command(), nil)
}

// Reconnect connects again after Close and waits for it.
func (c *Client) Reconnect() {
	c.t.Helper()
	c.d.must(c.t, "reconnect", c.command(), nil)
	c.MustConnect()
}

// Cut closes the transport without a close packet or close handshake.
func (c *Client) Cut() {
	c.t.Helper()
	c.d.must(c.t, "cut", c.command(), nil)
}

// SendRaw sends messages unchanged, strings as text and []byte as binary, including those
// that the client would refuse to send.
func (c *Client) SendRaw(messages ...any) {
	c.t.Helper()
	c.d.must(c.t, "engineSend", c.command("args", outgoing(messages)), nil)
}

func (c *Client) command(pairs ...any) map[string]any {
	m := map[string]any{"client": c.number}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}
