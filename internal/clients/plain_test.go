package clients_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/matrix"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestS4_PlainWebSockets takes the same steps with WebSockets that do not speak Socket.IO,
// on a route of Namespace.WebSocket and on one of contribws. The program builds and reads
// the frames itself.
func TestS4_PlainWebSockets(t *testing.T) {
	node := nodetest.Start(t)
	browser := node.Browser(t)
	python := nodetest.StartPython(t)
	for i, place := range []struct {
		row   string
		visit func(t *testing.T, s *site) (visitor, func(t *testing.T, url string) *nodetest.WebSocket)
	}{{
		row: "Python: websocket-client " + python.Versions(t)["websocket-client"],
		visit: func(t *testing.T, s *site) (visitor, func(t *testing.T, url string) *nodetest.WebSocket) {
			v := newHeaderVisitor(t, s, python, "")
			return v, func(t *testing.T, url string) *nodetest.WebSocket {
				return python.DialWebSocket(t, url, nodetest.WebSocketOptions{Cookie: v.cookie(t), Protocols: protocols})
			}
		},
	}, {
		row: "Node " + major(node.Versions(t)["node"]) + ": ws " + npmVersion(t, "ws"),
		visit: func(t *testing.T, s *site) (visitor, func(t *testing.T, url string) *nodetest.WebSocket) {
			v := newHeaderVisitor(t, s, node.Driver, "")
			return v, func(t *testing.T, url string) *nodetest.WebSocket {
				return node.DialWebSocket(t, url, nodetest.WebSocketOptions{Cookie: v.cookie(t), Protocols: protocols})
			}
		},
	}, {
		row: "Chromium " + major(browser.Version) + ": WebSocket",
		visit: func(t *testing.T, s *site) (visitor, func(t *testing.T, url string) *nodetest.WebSocket) {
			context := browser.NewContext(nil)
			t.Cleanup(context.Close)
			v := &pageVisitor{page: context.Open(s.url + "/page/" + packages["4.8"])}
			return v, func(t *testing.T, url string) *nodetest.WebSocket {
				return v.page.In(t).DialWebSocket(url, nodetest.WebSocketOptions{Protocols: protocols})
			}
		},
	}} {
		for _, route := range []struct{ name, path string }{{"plain", "/ws"}, {"contribws", "/contrib"}} {
			if !whole() && i > 0 {
				continue
			}
			row := place.row + ", " + route.name
			t.Run(row, func(t *testing.T) {
				site := newSite(t)
				v, dial := place.visit(t, site)
				url := "ws" + strings.TrimPrefix(site.url, "http") + route.path
				run(t, row, &plain{row: row, visitor: v, dial: func(t *testing.T) *nodetest.WebSocket { return dial(t, url) }})
			})
		}
	}
}

// protocols are offered for acknowledgements.
var protocols = []string{socketbridge.PlainAcks}

// plain is the scenario of a plain WebSocket, whose frames have the form that
// Namespace.WebSocket documents.
type plain struct {
	row     string
	visitor visitor
	dial    func(t *testing.T) *nodetest.WebSocket
	ws      *nodetest.WebSocket
	sent    int // the number of the last event that wants one
}

func (s *plain) connect(t *testing.T) { s.ws = s.dial(t) }

func (s *plain) login(t *testing.T) {
	s.ws = s.ws.In(t)
	equal(t, "user before the login", s.call(t, "who am i"), `[""]`)
	s.visitor.http(t, "POST", "/login")
	equal(t, "event after the login", array(t, s.values(t)...), `["session","ann"]`)
	equal(t, "user after the login", s.call(t, "who am i"), `["ann"]`)
	equal(t, "answer", s.call(t, "note", "by the socket"), `[]`)
	equal(t, "note over HTTP", s.visitor.http(t, "GET", "/note"), "by the socket")
	equal(t, "event after the note", array(t, s.values(t)...), `["session","ann"]`)
}

func (s *plain) events(t *testing.T) {
	s.ws = s.ws.In(t)
	s.ws.Send(array(t, "back", text))
	equal(t, "event", array(t, s.values(t)...), array(t, "said", text))
}

func (s *plain) acks(t *testing.T) {
	s.ws = s.ws.In(t)
	equal(t, "the server's answer", s.call(t, "echo", text), array(t, text))
	s.sent++
	s.ws.Send(array(t, s.sent, "ask", text))
	question := s.values(t)
	number, ok := question[0].(float64)
	if !ok {
		t.Fatalf("the question has no number: %v", question)
	}
	equal(t, "the server's question", array(t, question[1:]...), array(t, "question", text))
	s.ws.Send(array(t, -number, "sure", []byte{7, 8}))
	equal(t, "the client's answer", array(t, s.values(t)...), array(t, -s.sent, "sure", []byte{7, 8}))
}

// binary frames are the event "message". Inside of other events, binary data is base64.
func (s *plain) binary(t *testing.T) {
	s.ws = s.ws.In(t)
	data := slices.Repeat([]byte{0, 1, 0x80, 0xff}, 25_000)
	s.ws.Send(data)
	got, ok := s.ws.Receive().([]byte)
	if !ok || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes (%v), want the %d bytes that were sent", len(got), ok, len(data))
	}
	equal(t, "base64", s.call(t, "echo", text, data), array(t, text, data))
}

func (s *plain) reconnect(t *testing.T) {
	matrix.Nothing(t, table, s.row, "reconnect", "A plain WebSocket does not reconnect by itself: the program dials again.")
	s.ws = s.ws.In(t)
	s.ws.Close()
	if code, ok := s.ws.Receive().(int); !ok {
		t.Fatalf("got %v instead of the close code", code)
	}
	s.ws = s.dial(t)
	equal(t, "user after the reconnect", s.call(t, "who am i"), `["ann"]`)
}

func (s *plain) logout(t *testing.T) {
	s.ws = s.ws.In(t)
	s.visitor.http(t, "POST", "/logout")
	if code := s.ws.Receive(); code != 1000 {
		t.Errorf("got %v after the logout, want the close code 1000", code)
	}
}

// call sends an event and returns the arguments of its answer as JSON.
func (s *plain) call(t *testing.T, event string, args ...any) string {
	t.Helper()
	s.sent++
	s.ws.Send(array(t, append([]any{s.sent, event}, args...)...))
	answer := s.values(t)
	if answer[0] != float64(-s.sent) {
		t.Fatalf("%s was answered with %.200v", event, answer)
	}
	return array(t, answer[1:]...)
}

// values returns the elements of the next message, which must be a JSON array.
func (s *plain) values(t *testing.T) []any {
	t.Helper()
	got, ok := s.ws.Receive().(string)
	var all []any
	if err := json.Unmarshal([]byte(got), &all); !ok || err != nil || len(all) == 0 {
		t.Fatalf("got %.200q, which is no JSON array with elements: %v", got, err)
	}
	return all
}

// array returns a JSON array.
func array(t *testing.T, values ...any) string {
	t.Helper()
	if values == nil {
		values = []any{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(values); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}
