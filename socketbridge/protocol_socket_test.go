package socketbridge_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// The cases of the official suite for Socket.IO 5: those it shares with the suite of
// Engine.IO, here through the whole server, and its own.
func TestR2_SocketIOProtocol(t *testing.T) {
	t.Parallel()
	runProtocol(t, slices.Concat(engineCases(), socketCases()), 32, openSocketIO)
}

// openSocketIO starts a server with the namespaces and handlers that the suite expects.
func openSocketIO(t *testing.T, cfg engineio.Config) *protocolServer {
	return openSocketIOWith(t, socketbridge.Config{Engine: cfg})
}

func openSocketIOWith(t *testing.T, cfg socketbridge.Config) *protocolServer {
	s := newSite(t, options{bridge: cfg})
	for _, name := range []string{"/", "/custom"} {
		ns := s.io.Of(name)
		ns.OnConnection(func(sock *socketbridge.Socket) {
			auth := json.RawMessage("{}")
			if err := errors.Join(sock.Auth(&auth), sock.Emit("auth", auth)); err != nil {
				t.Error(err)
			}
		})
		ns.On("message", func(p *socketbridge.Packet) error { return p.Socket().Emit("message-back", p.Values()...) })
		ns.On("message-with-ack", func(p *socketbridge.Packet) error { return p.Ack(p.Values()...) })
	}
	p := newProtocolClient(t, s.serve().url+"/socket.io/", func() engineio.Stats { return s.io.Stats().Engine })
	p.proveOpen = func(ws *protocolSocket) { ws.connect("", "{}") }
	return p
}

// connect joins a namespace and checks the answer, and that the "auth" event has auth. name ends
// with a comma, or is "".
func (w *protocolSocket) connect(name, auth string) {
	w.t.Helper()
	payload := auth
	if auth == "{}" {
		payload = "" // the client sends none
	}
	w.send("40" + name + payload)
	text, ok := strings.CutPrefix(w.packet(), "40"+name)
	var answer map[string]string
	if err := json.Unmarshal([]byte(text), &answer); !ok || err != nil || len(answer) != 1 || answer["sid"] == "" {
		w.t.Fatalf("CONNECT was answered with %q", text)
	}
	if got := w.packet(); got != "42"+name+`["auth",`+auth+"]" {
		w.t.Fatalf("after CONNECT, the server sent %q", got)
	}
}

// socketCases are the cases that only the suite of Socket.IO has.
func socketCases() []protocolCase {
	// connected returns a case that begins in the main namespace.
	connected := func(name string, run func(*protocolSocket)) protocolCase {
		return protocolCase{name: name, run: func(p *protocolServer) {
			ws := p.openWebSocket()
			ws.connect("", "{}")
			run(ws)
		}}
	}
	// answered sends a packet and expects an answer.
	answered := func(packet, answer string) func(*protocolSocket) {
		return func(ws *protocolSocket) {
			ws.send(packet)
			ws.expect(answer)
		}
	}
	const attachments = `{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	binary := func(packet, answer string) func(*protocolSocket) {
		return func(ws *protocolSocket) {
			ws.send(packet + attachments)
			ws.sendBinary("\x01\x02\x03", "\x04\x05\x06")
			ws.expect(answer+attachments, "binary \x01\x02\x03", "binary \x04\x05\x06")
		}
	}
	ended := func(packet string) func(*protocolSocket) {
		return func(ws *protocolSocket) {
			ws.send(packet)
			ws.expectEnd()
		}
	}
	joins := func(name, auth string) func(*protocolServer) {
		return func(p *protocolServer) { p.openWebSocket().connect(name, auth) }
	}
	return []protocolCase{
		{name: "connect/to the main namespace", run: joins("", "{}")},
		{name: "connect/to the main namespace with a payload", run: joins("", `{"token":"123"}`)},
		{name: "connect/to a custom namespace", run: joins("/custom,", "{}")},
		{name: "connect/to a custom namespace with a payload", run: joins("/custom,", `{"token":"abc"}`)},
		{name: "connect/not to an unknown namespace", run: func(p *protocolServer) {
			ws := p.openWebSocket()
			ws.send("40/random")
			ws.expect(`44/random,{"message":"Invalid namespace"}`)
		}},
		{name: "connect/not with an invalid handshake", run: func(p *protocolServer) { ended("4abc")(p.openWebSocket()) }},
		{name: "connect/closes the connection without a handshake", run: func(p *protocolServer) {
			own := openSocketIOWith(p.t, socketbridge.Config{Timeouts: socketbridge.Timeouts{Connect: 50 * time.Millisecond}})
			own.openWebSocket().expectEnd()
		}},

		{name: "disconnect/from the main namespace", engine: patientHeartbeat, run: func(p *protocolServer) {
			ws := p.openWebSocket()
			ws.connect("", "{}")
			ws.send("41")
			ws.expect("2") // the connection stays
		}},
		connected("disconnect/from a custom namespace", func(ws *protocolSocket) {
			ws.connect("/custom,", "{}")
			ws.send("41/custom", `42["message","message to main namespace"]`)
			ws.expect(`42["message-back","message to main namespace"]`)
		}),

		connected("message/text", answered(`42["message",1,"2",{"3":[true]}]`, `42["message-back",1,"2",{"3":[true]}]`)),
		connected("message/with attachments", binary(`452-["message",`, `452-["message-back",`)),
		connected("message/text with an ack", answered(`42456["message-with-ack",1,"2",{"3":[false]}]`, `43456[1,"2",{"3":[false]}]`)),
		connected("message/with attachments and an ack", binary(`452-789["message-with-ack",`, `462-789[`)),
		connected("message/closes the connection on an unknown packet type", ended("4abc")),
		connected("message/closes the connection on an invalid payload", ended("42{}")),
		connected("message/closes the connection on an invalid ack ID", ended(`42abc["message-with-ack",1,"2",{"3":[false]}]`)),
	}
}
