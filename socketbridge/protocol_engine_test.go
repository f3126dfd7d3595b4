package socketbridge_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// The cases of the official suite for Engine.IO 4, against a server that sends each message
// back. A subtest has the path of its case: group, transport, what is expected. The same
// server's other tests (package engineio) check error codes, causes and headers besides.
//
// A case that depends on the time gets a server of its own with the suite's heartbeat. The
// others get one with a slow heartbeat, so that no ping comes between two answers.
func TestR2_EngineIOProtocol(t *testing.T) {
	t.Parallel()
	runProtocol(t, slices.Concat(engineCases(), messageCases()), 25, openEngine)
}

// runProtocol runs cases, each with a server of its own.
func runProtocol(t *testing.T, cases []protocolCase, want int, open func(*testing.T, engineio.Config) *protocolServer) {
	if len(cases) != want {
		t.Errorf("there are %d cases, the suite has %d", len(cases), want)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(open(t, c.engine))
		})
	}
}

// protocolHandshake is the content of an open packet.
type protocolHandshake struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

// protocolOpen decodes an open packet, which must have all fields and no other.
func protocolOpen(t *testing.T, packet string) (h protocolHandshake) {
	t.Helper()
	var fields map[string]any
	text, ok := strings.CutPrefix(packet, "0")
	if !ok || json.Unmarshal([]byte(text), &h) != nil || json.Unmarshal([]byte(text), &fields) != nil ||
		len(fields) != reflect.TypeOf(h).NumField() || h.SID == "" || h.Upgrades == nil {
		t.Fatalf("not an open packet: %q", packet)
	}
	return h
}

// expectHandshake checks an open packet of a server with suiteHeartbeat.
func expectHandshake(t *testing.T, packet string, upgrades ...string) {
	t.Helper()
	h := protocolOpen(t, packet)
	if !slices.Equal(h.Upgrades, upgrades) || h.PingInterval != 300 || h.PingTimeout != 200 || h.MaxPayload != 1000000 {
		t.Errorf("the open packet is %s", packet)
	}
}

// engineCases are the cases that the suites of both protocols have.
func engineCases() []protocolCase {
	return []protocolCase{
		{"handshake/HTTP long-polling/opens a session", suiteHeartbeat, func(p *protocolServer) {
			status, body := p.do("GET", pollingQuery, "")
			if status != 200 {
				p.t.Fatal(status, body)
			}
			expectHandshake(p.t, body, "websocket")
		}},
		{"handshake/HTTP long-polling/fails with an invalid EIO parameter", engineio.Config{}, func(p *protocolServer) {
			p.expect("GET", "transport=polling", "", 400, "")
			p.expect("GET", "EIO=abc&transport=polling", "", 400, "")
		}},
		{"handshake/HTTP long-polling/fails with an invalid transport parameter", engineio.Config{}, func(p *protocolServer) {
			p.expect("GET", "EIO=4", "", 400, "")
			p.expect("GET", "EIO=4&transport=abc", "", 400, "")
		}},
		{"handshake/HTTP long-polling/fails with an invalid method", engineio.Config{}, func(p *protocolServer) {
			p.expect("POST", pollingQuery, "", 400, "")
			p.expect("PUT", pollingQuery, "", 400, "")
		}},
		{"handshake/WebSocket/opens a session", suiteHeartbeat, func(p *protocolServer) {
			expectHandshake(p.t, p.dial(webSocketQuery).next())
		}},
		{"handshake/WebSocket/fails with an invalid EIO parameter", engineio.Config{}, func(p *protocolServer) {
			p.refuseWebSocket("transport=websocket")
			p.refuseWebSocket("EIO=abc&transport=websocket")
		}},
		{"handshake/WebSocket/fails with an invalid transport parameter", engineio.Config{}, func(p *protocolServer) {
			p.refuseWebSocket("EIO=4")
			p.refuseWebSocket("EIO=4&transport=abc")
		}},

		{"heartbeat/HTTP long-polling/sends ping and takes pong packets", patientHeartbeat, func(p *protocolServer) {
			session := p.openPolling()
			for range 3 {
				p.expect("GET", session, "", 200, "2")
				p.expect("POST", session, "3", 200, "ok")
			}
		}},
		{"heartbeat/HTTP long-polling/closes the session on a ping timeout", suiteHeartbeat, func(p *protocolServer) {
			session := p.openPolling()
			waitFor(p.t, "the session's end", func() bool { return p.stats().Connections == 0 })
			p.expect("GET", session, "", 400, "")
		}},
		{"heartbeat/WebSocket/sends ping and takes pong packets", patientHeartbeat, func(p *protocolServer) {
			ws := p.openWebSocket()
			for range 3 {
				ws.expect("2")
				ws.send("3")
			}
		}},
		{"heartbeat/WebSocket/closes the session on a ping timeout", suiteHeartbeat, func(p *protocolServer) {
			p.openWebSocket().expectEnd()
		}},

		{"close/HTTP long-polling/closes the session when the client asks", engineio.Config{}, func(p *protocolServer) {
			session := p.openPolling()
			poll := p.pollInBackground(p.t.Context(), session)
			p.expect("POST", session, "1", 200, "ok")
			if got := <-poll; got != "OK 6" {
				p.t.Errorf("the poll was answered with %q", got)
			}
			p.expect("GET", session, "", 400, "")
		}},
		{"close/WebSocket/closes the session when the client asks", engineio.Config{}, func(p *protocolServer) {
			ws := p.openWebSocket()
			ws.send("1")
			ws.expectEnd()
		}},

		{"upgrade/upgrades from HTTP long-polling to WebSocket", engineio.Config{}, func(p *protocolServer) {
			session := p.openPolling()
			ws := p.dial(upgradeQuery(session))
			ws.send("2probe")
			ws.expect("3probe")
			p.expect("GET", session, "", 200, "6") // the noop that ends polling
			ws.send("5")
			p.proveOpen(ws)
		}},
		{"upgrade/ignores HTTP requests of the session afterwards", engineio.Config{}, func(p *protocolServer) {
			session := p.openPolling()
			ws := p.upgrade(session)
			status, body := p.do("GET", session, "")
			for status == 200 && body == "6" { // the upgrade packet is still on its way
				status, body = p.do("GET", session, "")
			}
			if status != 400 {
				p.t.Errorf("a poll was answered with %d %q", status, body)
			}
			p.proveOpen(ws)
		}},
		{"upgrade/ignores WebSockets of the session afterwards", engineio.Config{}, func(p *protocolServer) {
			session := p.openPolling()
			ws := p.upgrade(session)
			if code := p.dial(upgradeQuery(session)).expectEnd(); code != websocket.StatusPolicyViolation {
				p.t.Errorf("the second WebSocket ended with %v", code)
			}
			p.proveOpen(ws)
		}},
	}
}

// upgrade opens the session's WebSocket and sends the upgrade packet.
func (p *protocolServer) upgrade(session string) *protocolSocket {
	ws := p.dial(upgradeQuery(session))
	ws.send("2probe")
	ws.expect("3probe")
	ws.send("5")
	return ws
}

// messageCases are the cases that only the suite of Engine.IO has.
func messageCases() []protocolCase {
	// echo posts a body and expects it as the answer to the next poll.
	echo := func(body string) func(*protocolServer) {
		return func(p *protocolServer) {
			session := p.openPolling()
			p.expect("POST", session, body, 200, "ok")
			p.expect("GET", session, "", 200, body)
		}
	}
	cases := []protocolCase{
		{name: "message/HTTP long-polling/one text packet", run: echo("4hello")},
		{name: "message/HTTP long-polling/several text packets", run: echo("4test1\x1e4test2\x1e4test3")},
		{name: "message/HTTP long-polling/text and binary packets", run: echo("4hello\x1ebAQIDBA==")},
		{name: "message/HTTP long-polling/closes the session on an invalid packet", run: func(p *protocolServer) {
			session := p.openPolling()
			p.expect("POST", session, "abc", 400, "")
			p.expect("GET", session, "", 400, "")
		}},
		{name: "message/HTTP long-polling/closes the session on two polls at a time", run: func(p *protocolServer) {
			session := p.openPolling()
			first := p.pollInBackground(p.t.Context(), session)
			p.expect("GET", session+"&t=burst", "", 400, "")
			if got := <-first; got != "OK 1" {
				p.t.Errorf("the first poll was answered with %q", got)
			}
			p.expect("GET", session, "", 400, "")
		}},
		{name: "message/HTTP long-polling/closes the session on a canceled poll", run: func(p *protocolServer) {
			// Under Fiber, the server does not see that the client has gone. It sees the next
			// poll come while the first still waits.
			session := p.openPolling()
			ctx, cancel := context.WithCancel(p.t.Context())
			poll := p.pollInBackground(ctx, session)
			cancel()
			<-poll
			p.expect("GET", session, "", 400, "")
		}},
		{name: "message/WebSocket/a text packet", run: func(p *protocolServer) {
			ws := p.openWebSocket()
			ws.send("4hello")
			ws.expect("4hello")
		}},
		{name: "message/WebSocket/a binary packet", run: func(p *protocolServer) {
			ws := p.openWebSocket()
			ws.sendBinary("\x01\x02\x03\x04")
			ws.expect("binary \x01\x02\x03\x04")
		}},
		{name: "message/WebSocket/closes the session on an invalid packet", run: func(p *protocolServer) {
			ws := p.openWebSocket()
			ws.send("abc")
			ws.expectEnd()
		}},
	}
	return cases
}
