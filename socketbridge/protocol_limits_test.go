package socketbridge_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// TestR27_PacketLimits sends packets one below each fixed limit, at it and one above it, on each
// transport. The first two are accepted, the third is refused.
func TestR27_PacketLimits(t *testing.T) {
	t.Parallel()
	placeholders := func(n int) (text string) {
		for i := range n {
			text += fmt.Sprintf(`,{"_placeholder":true,"num":%d}`, i)
		}
		return text
	}
	limits := []struct {
		name     string
		limit    int
		packet   func(n int) string
		binaries bool // n attachments follow
		refused  string
	}{
		{"event name", 256, func(n int) string { return `427["` + strings.Repeat("n", n) + `"]` }, false, "an event name longer than 256 bytes"},
		{"arguments", 64, func(n int) string { return `427["e"` + strings.Repeat(",1", n) + "]" }, false, "more than 64 arguments"},
		{"depth", 128, func(n int) string { // the list of arguments is the first level
			return `427["e",` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "]"
		}, false, "values nested deeper than 128"},
		{"attachments", 10, func(n int) string { return fmt.Sprintf(`45%d-7["e"%s]`, n, placeholders(n)) }, true, "more than 10 binary attachments"},
		{"namespace", 256, func(n int) string { return "40/" + strings.Repeat("n", n-1) + "," }, false, "a namespace longer than 256 bytes"},
	}
	s := newSite(t, options{})
	ok := func(p *socketbridge.Packet) error { return p.Ack("ok") }
	s.io.On("e", ok)
	for n := 255; n <= 257; n++ {
		s.io.On(strings.Repeat("n", n), ok)
	}
	for n := 255; n <= 256; n++ { // Of refuses a longer name
		s.io.Of("/" + strings.Repeat("n", n-1))
	}
	p := newProtocolClient(t, s.serve().url+"/socket.io/", func() engineio.Stats { return s.io.Stats().Engine })
	for _, l := range limits {
		for transport, open := range map[string]func(*protocolServer) asker{"polling": openPollingAsker, "websocket": openWebSocketAsker} {
			t.Run(l.name+"/"+transport, func(t *testing.T) {
				t.Parallel()
				own := *p
				own.t = t
				ask := open(&own)
				if got := ask(0, "40"); !strings.HasPrefix(got, "40{") {
					t.Fatalf("CONNECT was answered with %q", got)
				}
				for n := l.limit - 1; n <= l.limit+1; n++ {
					binaries := 0
					if l.binaries {
						binaries = n
					}
					got := ask(binaries, l.packet(n))
					accepted := got == `437["ok"]` || strings.HasPrefix(got, "40/")
					refused := strings.Contains(got, "bad_arguments") && strings.Contains(got, l.refused)
					if n <= l.limit && !accepted || n > l.limit && !refused {
						t.Errorf("%d: the server answered %.200q", n, got)
					}
				}
			})
		}
	}
}

// TestR27_NamespacesOfAClient joins as many namespaces as a client can be in, on each transport.
func TestR27_NamespacesOfAClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{})
	for n := range 65 {
		s.io.Of(fmt.Sprintf("/n%d", n))
	}
	p := newProtocolClient(t, s.serve().url+"/socket.io/", func() engineio.Stats { return s.io.Stats().Engine })
	for transport, open := range map[string]func(*protocolServer) asker{"polling": openPollingAsker, "websocket": openWebSocketAsker} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			own := *p
			own.t = t
			ask := open(&own)
			for n := range 65 {
				want := "40/"
				if n == 64 {
					want = "44/"
				}
				if got := ask(0, fmt.Sprintf("40/n%d,", n)); !strings.HasPrefix(got, want) {
					t.Fatalf("namespace %d was answered with %q, want %s…", n+1, got, want)
				}
			}
		})
	}
}

// asker sends a packet with binary attachments and returns the server's answer.
type asker func(attachments int, packet string) string

func openWebSocketAsker(p *protocolServer) asker {
	ws := p.openWebSocket()
	return func(attachments int, packet string) string {
		ws.send(packet)
		for range attachments {
			ws.sendBinary("x")
		}
		return ws.packet()
	}
}

func openPollingAsker(p *protocolServer) asker {
	session := p.openPolling()
	return func(attachments int, packet string) string {
		p.expect("POST", session, packet+strings.Repeat("\x1ebeA==", attachments), 200, "ok")
		status, body := p.do("GET", session, "")
		if status != 200 {
			p.t.Fatalf("the poll was answered with %d %q", status, body)
		}
		return body
	}
}
