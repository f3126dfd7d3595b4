package dropin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// peer is a Socket.IO client over a WebSocket, in the default namespace.
type peer struct {
	t  testing.TB
	ws *websocket.Conn
	n  int // the last acknowledgement's number
}

// connect opens a socket with a cookie.
func connect(t testing.TB, address, cookie string) *peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+address+"/socket.io/?EIO=4&transport=websocket",
		&websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {cookie}}})
	must(t, err)
	t.Cleanup(func() { _ = ws.CloseNow() })
	p := &peer{t: t, ws: ws}
	p.read() // the handshake
	p.write("40")
	if got := p.read(); !strings.HasPrefix(got, "40{") {
		t.Fatalf("CONNECT was answered with %q, want 40{...}", got)
	}
	return p
}

// call emits an event and returns its acknowledgement. It fails the test if the server
// disconnects the socket.
func (p *peer) call(event string) json.RawMessage {
	p.t.Helper()
	p.n++
	p.write(fmt.Sprintf("42%d[%q]", p.n, event))
	for {
		got := p.read()
		body, ok := strings.CutPrefix(got, fmt.Sprintf("43%d", p.n))
		if !ok {
			if strings.HasPrefix(got, "41") || strings.HasPrefix(got, "44") {
				p.t.Fatalf("%s: the server answered %s", event, got)
			}
			continue
		}
		var args []json.RawMessage
		must(p.t, json.Unmarshal([]byte(body), &args))
		if len(args) == 0 {
			return nil
		}
		return args[0]
	}
}

// read returns the next packet that is no ping.
func (p *peer) read() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		_, b, err := p.ws.Read(ctx)
		if err != nil {
			p.t.Fatalf("the socket ended: %v", err)
		}
		if string(b) != "2" {
			return string(b)
		}
		p.write("3")
	}
}

func (p *peer) write(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	must(p.t, p.ws.Write(ctx, websocket.MessageText, []byte(text)))
}
