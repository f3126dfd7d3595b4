package clients_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/matrix"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// table is the name of the table in docs/compatibility.md.
const table = "clients"

// whole reports whether every version is tested over every transport, as `make interop` does.
func whole() bool { return os.Getenv("MATRIX") != "" }

// TestS4_Clients runs the same steps with each client that speaks Socket.IO. Each step of
// each client is a cell of the table.
func TestS4_Clients(t *testing.T) {
	for _, place := range places(t) {
		for i, version := range place.versions {
			for _, tr := range transports {
				if !whole() && (i > 0 || tr.name != "upgrade") {
					continue
				}
				row := place.row(version) + ", " + tr.name
				if why := place.cannot[tr.name]; why != "" {
					for _, step := range steps {
						matrix.Nothing(t, table, row, step.column, why)
					}
					continue
				}
				t.Run(row, func(t *testing.T) {
					site := newSite(t)
					v := place.visit(t, site, version)
					run(t, row, &socketIO{site: site, visitor: v, transport: tr})
				})
			}
		}
	}
}

// transports are the ways to connect, by what Options.Transports says.
var transports = []transport{
	{"polling", []string{"polling"}, "polling"},
	{"websocket", []string{"websocket"}, "websocket"},
	{"upgrade", nil, "websocket"},
}

type transport struct {
	name    string
	options []string
	ends    string // the transport that the client has in the end
}

// visitor is one visitor of a site, with the cookies of a session, who opens a socket. Each
// place makes its own.
type visitor interface {
	// dial begins to connect.
	dial(t *testing.T, o nodetest.Options) *nodetest.Client
	// http sends a request with the visitor's cookies, as the client's program would, and
	// returns the body.
	http(t *testing.T, method, path string) string
	// renewed gives the client the visitor's new cookie, if that does not happen by itself.
	renewed(t *testing.T, c *nodetest.Client)
}

// steps are the columns of the table, in their order. Each has a method of scenario.
var steps = []struct {
	column string
	run    func(s scenario, t *testing.T)
}{
	{"connect", scenario.connect},
	{"login", scenario.login},
	{"events", scenario.events},
	{"acks", scenario.acks},
	{"binary", scenario.binary},
	{"reconnect", scenario.reconnect},
	{"logout", scenario.logout},
}

type scenario interface {
	connect(t *testing.T)
	login(t *testing.T)
	events(t *testing.T)
	acks(t *testing.T)
	binary(t *testing.T)
	reconnect(t *testing.T)
	logout(t *testing.T)
}

// run takes all steps, each as a subtest that fills a cell of the row.
func run(t *testing.T, row string, s scenario) {
	connected := true
	for _, step := range steps {
		t.Run(step.column, func(t *testing.T) {
			matrix.Cell(t, table, row, step.column)
			if !connected {
				t.Skip("the client is not connected")
			}
			step.run(s, t)
		})
		connected = connected && (step.column != "connect" || !t.Failed())
	}
}

// socketIO is the scenario of a client that speaks Socket.IO.
type socketIO struct {
	site      *site
	visitor   visitor
	transport transport
	client    *nodetest.Client
}

func (s *socketIO) connect(t *testing.T) {
	s.client = s.visitor.dial(t, nodetest.Options{Transports: s.transport.options, Reconnect: true})
	s.client.MustConnect()
	waitFor(t, "the transport "+s.transport.ends, func() bool { return s.client.State().Transport == s.transport.ends })
}

// login happens over HTTP, and the connected socket learns of it at once. What the socket
// writes into the session is there for HTTP.
func (s *socketIO) login(t *testing.T) {
	c := s.client.In(t)
	equal(t, "user before the login", c.MustCall("who am i").String(), `[""]`)
	before := c.State().ID
	s.visitor.http(t, "POST", "/login")
	s.visitor.renewed(t, c)
	equal(t, "session after the login", c.MustNext("session").String(), `["ann"]`)
	equal(t, "user after the login", c.MustCall("who am i").String(), `["ann"]`)
	equal(t, "ID after the login", c.State().ID, before)
	c.MustCall("note", "by the socket")
	equal(t, "note over HTTP", s.visitor.http(t, "GET", "/note"), "by the socket")
}

// text has what encoders get wrong: quotes, characters beyond ASCII and the BMP, the line
// separators of JavaScript, the record separator of polling, and a zero byte.
const text = "\"\\ häß 日本 😀 \u2028\u2029 \x1e \x00 <b>"

func (s *socketIO) events(t *testing.T) {
	c := s.client.In(t)
	for range 3 { // the order of events is kept
		c.Emit("back", text)
	}
	for range 3 {
		var got string
		c.MustNext("said").Bind(t, &got)
		equal(t, "event", got, text)
	}
}

func (s *socketIO) acks(t *testing.T) {
	c := s.client.In(t)
	var got string
	c.MustCall("echo", text).Bind(t, &got)
	equal(t, "the server's answer", got, text)
	equal(t, "an empty answer", c.MustCall("note", "").String(), "[]")

	c.Answer("question", text, []byte{7})
	c.MustCall("ask", text).Bind(t, &got)
	equal(t, "the client's answer", got, text)
	c.MustNext("question").Bind(t, &got)
	equal(t, "the server's question", got, text)
}

// binary data goes both ways in events and in answers, as an argument and inside of one.
func (s *socketIO) binary(t *testing.T) {
	c := s.client.In(t)
	data := make([]byte, 100_000)
	for i := range data {
		data[i] = byte(i)
	}
	same := func(what string, args nodetest.Args) {
		t.Helper()
		var gotText string
		var got nodetest.Binary
		var inside struct {
			Text  string
			Bytes nodetest.Binary
		}
		args.Bind(t, &gotText, &got, &inside)
		if gotText != text || inside.Text != text || !bytes.Equal(got, data) || !bytes.Equal(inside.Bytes, data[:300]) {
			t.Errorf("%s: got %q, %d bytes, %q and %d bytes", what, gotText, len(got), inside.Text, len(inside.Bytes))
		}
	}
	args := []any{text, data, map[string]any{"text": text, "bytes": nodetest.Binary(data[:300])}}
	same("the server's answer", c.MustCall("echo", args...))
	c.Emit("back", args...)
	same("event", c.MustNext("said"))

	c.Answer("question", text, data)
	var gotText string
	var got nodetest.Binary
	c.MustCall("ask", args...).Bind(t, &gotText, &got)
	if gotText != text || !bytes.Equal(got, data) {
		t.Errorf("the client's answer: got %q and %d bytes", gotText, len(got))
	}
	same("the server's question", c.MustNext("question"))
}

// reconnect cuts all connections, as a network that fails does. The client comes back by
// itself, with the session.
func (s *socketIO) reconnect(t *testing.T) {
	c := s.client.In(t)
	before := c.State().ID
	s.site.network.Disconnect()
	c.MustNext(nodetest.Disconnected)
	c.MustConnect()
	if after := c.State().ID; after == before || after == "" {
		t.Errorf("the socket's ID is %q after the reconnect, and was %q before", after, before)
	}
	equal(t, "user after the reconnect", c.MustCall("who am i").String(), `["ann"]`)
}

// logout happens over HTTP. It ends the socket, and the client does not come back.
func (s *socketIO) logout(t *testing.T) {
	c := s.client.In(t)
	s.visitor.http(t, "POST", "/logout")
	c.MustNext(nodetest.Disconnected)
	if state := c.State(); state.Connected {
		t.Error("the client is connected after the logout")
	}
}
