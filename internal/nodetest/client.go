package nodetest

import (
	"context"
	"maps"
	"testing"
	"time"
)

// The events that a Client tells besides those that the server emits.
const (
	Connected        = "connect"           // {id, transport, recovered}
	ConnectError     = "connect_error"     // {message, data, type, status, body}
	Disconnected     = "disconnect"        // the reason
	Upgraded         = "upgrade"           // the new transport's name
	ReconnectAttempt = "reconnect_attempt" // its number
)

// Options are how a client connects.
type Options struct {
	// Version is that of socket.io-client, "4.8" or "4.0", or "own" for the client
	// of this repository. That one has no upgrade, Cut and SendRaw.
	//
	// Optional. Default: "4.8"
	Version string
	// Transports are tried in order: "polling", "websocket".
	//
	// Optional. Default: the client's own: polling, then an upgrade
	Transports []string
	// Path is where the server answers.
	//
	// Optional. Default: "/socket.io/"
	Path string
	// Cookie is the Cookie header of every request.
	//
	// Optional. Default: ""
	Cookie string
	// Header holds further headers of every request.
	//
	// Optional. Default: nil
	Header map[string]string
	// Auth is sent with CONNECT.
	//
	// Optional. Default: nil
	Auth any
	// Query is added to the URL of every request.
	//
	// Optional. Default: nil
	Query map[string]string
	// Reconnect lets the client come back by itself.
	//
	// Optional. Default: false
	Reconnect bool
	// Extra holds further options by the client's own names; they win.
	//
	// Optional. Default: nil
	Extra map[string]any
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
	maps.Copy(m, o.Extra)
	return m
}

// Client is one socket of a real socket.io-client: one client in one namespace.
type Client struct {
	n      *Node
	t      testing.TB
	number int
	box    *inbox
}

// State is what a Client is at the moment.
type State struct {
	ID        string `json:"id"`        // the socket's
	Engine    string `json:"engine"`    // the connection's
	Transport string `json:"transport"` // "" unless connected
	Connected bool   `json:"connected"`
	Recovered bool   `json:"recovered"`
}

// Dial begins to connect and returns at once. The namespace is the path of url.
func (n *Node) Dial(t testing.TB, url string, o Options) *Client {
	t.Helper()
	c := &Client{n: n, t: t}
	c.number, c.box = n.number()
	if o.Version == "" {
		o.Version = "4.8"
	}
	n.must(t, "connect", c.command("version", o.Version, "url", url, "options", o.encode()), nil)
	return c
}

// Connect is Dial that waits until the client is connected, and ends the test
// when it is refused. It takes the event Connected.
func (n *Node) Connect(t testing.TB, url string, o Options) *Client {
	t.Helper()
	c := n.Dial(t, url, o)
	c.mustConnect()
	return c
}

// Of connects to another namespace over the same connection, and waits for it.
func (c *Client) Of(namespace string, auth any) *Client {
	c.t.Helper()
	o := c.DialOf(namespace, auth)
	o.mustConnect()
	return o
}

// DialOf is Of that returns at once.
func (c *Client) DialOf(namespace string, auth any) *Client {
	c.t.Helper()
	o := &Client{n: c.n, t: c.t}
	o.number, o.box = c.n.number()
	c.n.must(c.t, "of", o.command("parent", c.number, "namespace", namespace, "auth", auth), nil)
	return o
}

func (c *Client) mustConnect() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	h, err := c.box.take(ctx, Connected, ConnectError)
	if err != nil {
		c.t.Fatal(err)
	}
	if h.event == ConnectError {
		c.t.Fatalf("nodetest: connection refused: %s", h.args)
	}
}

// Next takes the earliest of an event's occurrences that nobody took yet, and
// waits for one. The events of the client itself are named by constants.
func (c *Client) Next(ctx context.Context, event string) (Args, error) {
	h, err := c.box.take(ctx, event)
	return h.args, err
}

// MustNext is Next within Timeout; it ends the test when nothing comes.
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

// Waiting tells how many occurrences of an event nobody took yet. To see that
// something did not come, first wait for something that would come after it.
func (c *Client) Waiting(event string) int { return c.box.count(event) }

// Emit emits an event without waiting for anything.
func (c *Client) Emit(event string, args ...any) {
	c.t.Helper()
	c.n.must(c.t, "emit", c.command("event", event, "args", outgoing(args)), nil)
}

// Call emits an event and waits for its acknowledgement.
func (c *Client) Call(ctx context.Context, event string, args ...any) (Args, error) {
	command := c.command("event", event, "args", outgoing(args))
	if deadline, ok := ctx.Deadline(); ok {
		command["timeout"] = max(1, time.Until(deadline).Milliseconds())
	}
	var out Args
	err := c.n.do(ctx, "call", command, &out)
	return out, err
}

// MustCall is Call within Timeout; it ends the test when no answer comes.
func (c *Client) MustCall(event string, args ...any) Args {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	out, err := c.Call(ctx, event, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// Answer makes the client answer every further occurrence of an event that asks
// for an acknowledgement. Without, it never answers.
func (c *Client) Answer(event string, args ...any) {
	c.t.Helper()
	c.n.must(c.t, "answer", c.command("event", event, "args", outgoing(args)), nil)
}

// State asks the client what it is.
func (c *Client) State() State {
	c.t.Helper()
	var s State
	c.n.must(c.t, "state", c.command(), &s)
	return s
}

// SetAuth changes what the next CONNECT carries.
func (c *Client) SetAuth(auth any) {
	c.t.Helper()
	c.n.must(c.t, "auth", c.command("auth", auth), nil)
}

// SetHeader changes what the requests of the next connection carry.
func (c *Client) SetHeader(name, value string) {
	c.t.Helper()
	c.n.must(c.t, "header", c.command("name", name, "value", value), nil)
}

// Close disconnects, as socket.disconnect() does.
func (c *Client) Close() {
	c.t.Helper()
	c.n.must(c.t, "disconnect", c.command(), nil)
}

// Reconnect connects again after Close, and waits for it.
func (c *Client) Reconnect() {
	c.t.Helper()
	c.n.must(c.t, "reconnect", c.command(), nil)
	c.mustConnect()
}

// Cut closes the transport without a goodbye.
func (c *Client) Cut() {
	c.t.Helper()
	c.n.must(c.t, "cut", c.command(), nil)
}

// SendRaw sends messages as they are, a string as text and a []byte as binary,
// past everything that the client would refuse to send.
func (c *Client) SendRaw(messages ...any) {
	c.t.Helper()
	c.n.must(c.t, "engineSend", c.command("args", outgoing(messages)), nil)
}

func (c *Client) command(pairs ...any) map[string]any {
	m := map[string]any{"client": c.number}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}
