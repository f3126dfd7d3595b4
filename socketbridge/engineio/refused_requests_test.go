package engineio_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// Each of these requests must be refused with the error that the protocol defines for it. None
// may reach the acceptor.
func TestRefuse_Requests(t *testing.T) {
	t.Parallel()
	const sid = "AAAAAAAAAAAAAAAAAAAAAAAA"
	tests := []struct {
		name    string
		method  string
		query   string
		headers []string
		status  int
		code    int
	}{
		{"no query", "GET", "", nil, 400, 0},
		{"no transport", "GET", "EIO=4", nil, 400, 0},
		{"another transport", "GET", "EIO=4&transport=abc", nil, 400, 0},
		{"a transport of an object's prototype (CVE-2023-31125)", "GET", "EIO=4&transport=constructor", nil, 400, 0},
		{"webtransport", "GET", "EIO=4&transport=webtransport", nil, 400, 0},
		{"a transport in an array", "GET", "EIO=4&transport[]=polling", nil, 400, 0},
		{"a transport twice", "GET", polling + "&transport=polling", nil, 400, 3},
		{"no EIO", "GET", "transport=polling", nil, 400, 5},
		{"EIO 3", "GET", "EIO=3&transport=polling", nil, 400, 5},
		{"EIO abc", "GET", "EIO=abc&transport=polling", nil, 400, 5},
		{"EIO 04", "GET", "EIO=04&transport=polling", nil, 400, 5},
		{"EIO twice", "GET", polling + "&EIO=4", nil, 400, 3},
		{"JSONP", "GET", polling + "&j=0", nil, 400, 3},
		{"an empty sid", "GET", polling + "&sid=", nil, 400, 3},
		{"two sids", "GET", polling + "&sid=" + sid + "&sid=" + sid, nil, 400, 3},
		{"an unknown sid", "GET", polling + "&sid=" + sid, nil, 400, 1},
		{"an unknown sid, post", "POST", polling + "&sid=" + sid, nil, 400, 1},
		{"an unknown sid, put", "PUT", polling + "&sid=" + sid, nil, 400, 1},
		{"sid __proto__ (GHSA-gr94-w7qr-f4j3)", "GET", polling + "&sid=__proto__", nil, 400, 1},
		{"sid constructor", "POST", polling + "&sid=constructor", nil, 400, 1},
		{"a sid with NUL", "GET", polling + "&sid=a%00b", nil, 400, 1},
		{"a sid of 3000 characters", "GET", polling + "&sid=" + strings.Repeat("A", 3000), nil, 400, 1},
		{"a handshake by post", "POST", polling, nil, 400, 2},
		{"a handshake by put", "PUT", polling, nil, 400, 2},
		{"a handshake by delete", "DELETE", polling, nil, 400, 2},
		{"a WebSocket without an upgrade", "GET", websocket, nil, 400, 3},
		{"a WebSocket without an upgrade, post", "POST", websocket, nil, 400, 3},
		{"another origin", "GET", polling, []string{"Origin", "https://evil.example"}, 403, 4},
		{"another origin, post", "POST", polling + "&sid=" + sid, []string{"Origin", "https://evil.example"}, 403, 4},
		{"another origin, preflight", "OPTIONS", polling, []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 403, 4},
		{"another site by GET", "GET", polling, []string{"Sec-Fetch-Site", "cross-site"}, 403, 4},
	}
	s := open(t, echoRecorder(), engineio.Config{})
	refused := make(chan engineio.Refusal, 1)
	s.engine.OnRefused(func(engineio.Refusal) { panic("contained") })
	s.engine.OnRefused(func(r engineio.Refusal) { refused <- r })
	still := s.bystander()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := s.do(tt.method, tt.query, "4hello", tt.headers...)
			if a.status != tt.status || a.code() != tt.code || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("response is %d %s (%s), want %d and code %d", a.status, a.body, a.header.Get("Content-Type"), tt.status, tt.code)
			}
			if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Vary") != "Origin" {
				t.Errorf("the headers are %v", a.header)
			}
			var r engineio.Refusal
			select { // it was called before the response was sent
			case r = <-refused:
			default:
				t.Fatal("OnRefused was not called")
			}
			if r.Code != tt.code || r.Status != tt.status || r.Method != tt.method || r.Path != "/socket.io/" || r.RemoteIP != "127.0.0.1" ||
				!strings.Contains(a.body, r.Message) {
				t.Errorf("OnRefused got %+v", r)
			}
			if text := fmt.Sprintf("%+v", r); strings.Contains(text, "AAAA") {
				t.Errorf("OnRefused got the ID of a connection: %s", text)
			}
			still()
		})
	}
	if n := len(s.recorder.All()); n != 1 {
		t.Errorf("%d connections reached the acceptor", n-1)
	}
}

// Each of these WebSocket handshakes must be refused before the 101.
func TestRefuse_Upgrades(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		query   string
		headers []string
		status  int
		code    int
	}{
		{"an unknown sid", websocket + "&sid=AAAAAAAAAAAAAAAAAAAAAAAA", nil, 400, 1},
		{"no EIO", "transport=websocket", nil, 400, 5},
		{"another transport", "EIO=4&transport=abc", nil, 400, 0},
		{"transport polling", polling, nil, 400, 3},
		{"another origin", websocket, []string{"Origin", "https://evil.example"}, 403, 4},
		{"another port", websocket, []string{"Origin", "http://127.0.0.1:1"}, 403, 4},
		{"a null origin", websocket, []string{"Origin", "null"}, 403, 4},
		{"a forged key", websocket, []string{"Sec-WebSocket-Key", "short"}, 400, 3},
		{"a key of 17 bytes", websocket, []string{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZTE="}, 400, 3},
		{"no key", websocket, []string{"Sec-WebSocket-Key", ""}, 400, 3},
		{"version 8", websocket, []string{"Sec-WebSocket-Version", "8"}, 426, 3},
		{"no version", websocket, []string{"Sec-WebSocket-Version", ""}, 426, 3},
		{"no Connection: Upgrade", websocket, []string{"Connection", "keep-alive"}, 400, 3},
		{"another upgrade", websocket, []string{"Upgrade", "h2c"}, 400, 3},
	}
	s := open(t, echoRecorder(), engineio.Config{})
	still := s.bystander()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, a := s.dialWS(tt.query, tt.headers...)
			if c != nil || a.status != tt.status || a.code() != tt.code {
				t.Errorf("response is %d %s, want %d and code %d", a.status, a.body, tt.status, tt.code)
			}
			if tt.status == 426 && a.header.Get("Sec-WebSocket-Version") != "13" {
				t.Error("the response 426 does not name the version")
			}
			still()
		})
	}
	// Unusual extensions and protocols are ignored (GHSA-5v72-xg48-5rpm, CVE-2021-32640).
	for _, h := range []string{"constructor", "__proto__", ";;;", strings.Repeat(" ", 2000) + "x", "permessage-deflate; client_max_window_bits"} {
		for _, name := range []string{"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} {
			c, a := s.dialWS(websocket, name, h)
			if c == nil || a.header.Get("Sec-WebSocket-Extensions") != "" || strings.ContainsAny(a.header.Get("Sec-WebSocket-Protocol"), " ;") {
				t.Errorf("%s %.20q: %d", name, h, a.status)
				continue
			}
			c.readText()
			c.nc.Close()
		}
	}
	still()
}

// Row 65: the body of an upgrade would be read as frames.
func TestRefuse_UpgradesWithABody(t *testing.T) {
	t.Parallel()
	limited, unlimited := open(t, echoRecorder(), engineio.Config{}), open(t, echoRecorder(), engineio.Config{}, siteOptions{noLimits: true})
	for _, s := range []*site{limited, unlimited} {
		for _, query := range []string{websocket, websocket + "&sid=" + s.openPoll().sid} {
			for _, body := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
				got := converse(s, "GET /socket.io/?"+query+" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"+
					"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"+body+"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				if len(got) == 0 || !strings.HasPrefix(got[0], "400") {
					t.Errorf("%s with %.20q: the responses are %q", query, body, got)
				}
			}
		}
	}
}

// Each body gets the right response, and ends its connection only if it breaks the protocol.
func TestRefuse_Bodies(t *testing.T) {
	t.Parallel()
	const limit = 1000
	big := "4" + strings.Repeat("x", limit)
	tests := []struct {
		name    string
		body    string
		headers []string
		status  int
		code    int
		end     transport.Reason // "" if the connection stays open
	}{
		{"nonsense", "abc", nil, 400, 3, transport.ParseError},
		{"nothing", "", nil, 400, 3, transport.ParseError},
		{"an unknown type after a message", "4a\x1e9", nil, 400, 3, transport.ParseError},
		{"separators alone", strings.Repeat("\x1e", limit), nil, 400, 3, transport.ParseError},
		{"more packets than allowed", "4" + strings.Repeat("\x1e4", 20), nil, 400, 3, transport.ParseError},
		{"as many packets as allowed", "4" + strings.Repeat("\x1e4", 19), nil, 200, -1, ""},
		{"broken base64", "bA?", nil, 400, 3, transport.ParseError},
		{"not UTF-8", "4\xff\xfe", nil, 400, 3, transport.ParseError},
		{"an open packet", "0{}", nil, 400, 3, transport.ParseError},
		{"a ping", "2", nil, 400, 3, transport.TransportError},
		{"a probe", "2probe", nil, 400, 3, transport.TransportError},
		{"at the limit", big[:limit], nil, 200, -1, ""},
		{"over the limit, without a body", big, nil, 413, -1, ""},
		{"octets (CVE-2026-59725)", "4a", []string{"Content-Type", "application/octet-stream"}, 400, 3, ""},
		{"a form", "4a", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, 3, ""},
		{"a form with parts", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n", []string{"Content-Type", "multipart/form-data; boundary=x"}, 400, 3, ""},
		{"JSON", "4a", []string{"Content-Type", "application/json"}, 400, 3, ""},
		{"gzip (D10)", "4a", []string{"Content-Encoding", "gzip"}, 415, 3, ""},
		{"an unknown encoding", "4a", []string{"Content-Encoding", "x"}, 415, 3, ""},
		{"identity", "4a", []string{"Content-Encoding", "identity"}, 200, -1, ""},
		{"text in capitals", "4a", []string{"Content-Type", "TEXT/PLAIN"}, 200, -1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, &transporttest.Recorder{}, engineio.Config{MaxPayload: limit, Limits: engineio.Limits{MaxPollPackets: 20}})
			bystander := s.openPoll()
			victim := s.nextConn()
			p := s.openPoll()
			a := s.nextConn()
			got := s.do("POST", p.query(), tt.body, tt.headers...)
			if got.status != tt.status || got.code() != tt.code || got.status == 413 && got.body != "" {
				t.Errorf("response is %d %s", got.status, got.body)
			}
			if tt.end != "" {
				s.waitForEnd(a, tt.end)
			} else if got := p.post("4after"); got.status != 200 {
				t.Errorf("the connection has ended: %d %s", got.status, got.body)
			}
			if got := bystander.post("4untouched"); got.status != 200 || len(victim.Received()) != 1 {
				t.Errorf("another connection was disturbed: %d %s", got.status, got.body)
			}
		})
	}
}

// Requests with other methods do not affect a connection.
func TestRefuse_Methods(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	p := s.openPoll()
	for _, method := range []string{"PUT", "DELETE", "PATCH", "HEAD"} {
		if a := s.do(method, p.query(), "4x"); a.status != 400 {
			t.Errorf("%s was answered with %d", method, a.status)
		}
	}
	if a := p.post("4after"); a.status != 200 {
		t.Errorf("the connection has ended: %d %s", a.status, a.body)
	}
}

// An invalid frame ends its own connection only, with the close code of RFC 6455. (The rules
// are tested in package wsframe.)
func TestRefuse_Frames(t *testing.T) {
	t.Parallel()
	const limit = 1000
	text := func(s string) string { return clientFrame(true, wsframe.Text, s) }
	tests := []struct {
		name string
		send string
		code uint16
		end  transport.Reason
	}{
		{"RSV1 (CVE-2022-21676)", "\xc1\x80\x00\x00\x00\x00", 1002, transport.TransportError},
		{"RSV2", "\xa1\x80\x00\x00\x00\x00", 1002, transport.TransportError},
		{"RSV3", "\x91\x80\x00\x00\x00\x00", 1002, transport.TransportError},
		{"a reserved opcode", "\x83\x80\x00\x00\x00\x00", 1002, transport.TransportError},
		{"a reserved control opcode", "\x8b\x80\x00\x00\x00\x00", 1002, transport.TransportError},
		{"no mask", "\x81\x024a", 1002, transport.TransportError},
		{"a length with its top bit set (CVE-2020-27813)", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01", 1002, transport.TransportError},
		{"a length of 2^63-1", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009, transport.TransportError},
		{"a message over the limit", clientFrame(true, wsframe.Binary, strings.Repeat("x", limit+1)), 1009, transport.TransportError},
		{"fragments over the limit (CVE-2026-42786)", clientFrame(false, wsframe.Binary, strings.Repeat("x", limit)) + clientFrame(false, wsframe.Continuation, "x"), 1009, transport.TransportError},
		{"empty fragments without end (CVE-2026-48779)", clientFrame(false, wsframe.Text, "") + strings.Repeat(clientFrame(false, wsframe.Continuation, ""), 5000), 1008, transport.TransportError},
		{"a continuation of nothing", clientFrame(true, wsframe.Continuation, "x"), 1002, transport.TransportError},
		{"a message inside another", clientFrame(false, wsframe.Text, "4") + text("4"), 1002, transport.TransportError},
		{"a fragmented ping", clientFrame(false, wsframe.Ping, ""), 1002, transport.TransportError},
		{"text that is not UTF-8", text("4\xff"), 1007, transport.TransportError},
		{"a close code that must not be sent", clientFrame(true, wsframe.Close, "\x03\xed"), 1002, transport.TransportError},
		{"a close code of one byte", clientFrame(true, wsframe.Close, "\x03"), 1002, transport.TransportError},
		{"an unknown packet", text("abc"), 1008, transport.ParseError},
		{"an empty packet", text(""), 1008, transport.ParseError},
		{"broken base64", text("b?"), 1008, transport.ParseError},
		{"an open packet", text("0{}"), 1008, transport.ParseError},
		{"a ping packet", text("2"), 1008, transport.TransportError},
		{"a probe", text("2probe"), 1008, transport.TransportError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, echoRecorder(), engineio.Config{MaxPayload: limit})
			still := s.bystander()
			s.nextConn()
			c := s.openWS()
			a := s.nextConn()
			c.write(text("4before") + tt.send + text("4after"))
			if got := c.readText(); got != "4before" {
				t.Errorf("got %q back", got)
			}
			if code := c.readClose(); code != tt.code {
				t.Errorf("close code is %d, want %d", code, tt.code)
			}
			c.nc.Close()
			s.waitForEnd(a, tt.end)
			if r := a.Received(); len(r) != 1 || string(r[0].Data) != "before" {
				t.Errorf("the receiver got %v", r)
			}
			still()
		})
	}
}

// CVE-2022-41940: a client resets the TCP connection while its request is being refused.
func TestRefuse_ClientsThatReset(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	still := s.bystander()
	s.nextConn()
	request := func(query string) string {
		return fmt.Sprintf("GET /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", query, s.addr)
	}
	for _, query := range []string{websocket + "&sid=unknown", websocket, "EIO=3&transport=websocket"} {
		full := request(query)
		for cut := 0; cut <= len(full); cut += 7 {
			nc, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = nc.Write([]byte(full[:cut]))
			_ = nc.(*net.TCPConn).SetLinger(0) // Close sends a reset
			nc.Close()
		}
	}
	still()
	waitFor(t, func() bool { return s.engine.Stats().Connections == 1 && s.engine.Stats().WebSockets == 1 })
}
