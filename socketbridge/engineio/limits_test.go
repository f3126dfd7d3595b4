package engineio_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// Row 30: the limits of connections are exact, and ended connections no longer count.
func TestLimit_Connections(t *testing.T) {
	t.Parallel()
	t.Run("in total", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{Limits: engineio.Limits{MaxConns: 3}})
		a, b := s.openPoll(), s.openWS()
		s.openPoll().upgrade() // an upgrade is not a second connection
		for _, opener := range openers {
			if a := opener.open(s); a.status != 503 || a.header.Get("Retry-After") == "" || a.code() != 4 {
				t.Errorf("%s: response is %d %s", opener.name, a.status, a.body)
			}
		}
		a.post("1")
		_ = b.Close()
		waitFor(t, func() bool { return s.engine.Stats().Connections == 1 })
		s.openPoll()
		s.openWS()
	})
	t.Run("per address", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{Limits: engineio.Limits{MaxConnsPerIP: 2}}, siteOptions{fiber: fiber.Config{ProxyHeader: "X-Real-IP"}})
		p := s.openPoll("X-Real-IP", "192.0.2.1")
		s.openWS("X-Real-IP", "192.0.2.1")
		for _, opener := range openers { // two refusals, one log message
			if a := opener.open(s, "X-Real-IP", "192.0.2.1"); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
				t.Errorf("%s: response is %d %s", opener.name, a.status, a.body)
			}
		}
		if n := strings.Count(s.log.String(), "connections are refused"); n != 1 {
			t.Errorf("logged %d times, want 1", n)
		}
		s.openPoll("X-Real-IP", "192.0.2.2")
		p.post("1")
		waitFor(t, func() bool { return s.engine.Stats().Connections == 2 })
		s.openPoll("X-Real-IP", "192.0.2.1")
	})
	t.Run("a forged address is ignored", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{Limits: engineio.Limits{MaxConnsPerIP: 1}})
		for range 3 { // loopback is not counted, and the header is not trusted
			s.openPoll("X-Forwarded-For", "192.0.2.1", "X-Real-IP", "192.0.2.1")
		}
	})
}

// A client's address is limited however its proxy writes it, and one that cannot be read is
// limited too: all of them together.
func TestS5_LimitBehindProxies(t *testing.T) {
	t.Parallel()
	behind := fiber.Config{ProxyHeader: fiber.HeaderXForwardedFor, EnableTrustedProxyCheck: true, TrustedProxies: []string{"127.0.0.1", "10.0.0.0/8"}}
	anyProxy := fiber.Config{ProxyHeader: fiber.HeaderXForwardedFor}
	validating := behind
	validating.EnableIPValidation = true
	tests := []struct {
		name  string
		fiber fiber.Config
		xff   []string // of clients of one address
		other string   // of a client of another address
		warns bool
	}{
		{"ports", behind, []string{"192.0.2.1:1001", "192.0.2.1:1002", "192.0.2.1"}, "192.0.2.2:1001", false},
		{"ports, with Fiber's validation", validating, []string{"192.0.2.1:1001", "192.0.2.1:1002", "192.0.2.1"}, "192.0.2.2:1001", false},
		{"IPv6 and ports", behind, []string{"[2001:db8::1]:1", "[2001:db8::2]:2", "2001:db8::3"}, "[2001:db8:0:1::1]:1", false},
		{"forged left ends", behind, []string{"1.1.1.1, 192.0.2.1", "2.2.2.2, 192.0.2.1", "junk, 192.0.2.1"}, "192.0.2.1, 192.0.2.2", false},
		{"forged left ends, with Fiber's validation", validating, []string{"1.1.1.1, 192.0.2.1", "2.2.2.2, 192.0.2.1", "3.3.3.3, 192.0.2.1"}, "192.0.2.2", false},
		{"forged left ends, every proxy trusted", anyProxy, []string{"1.1.1.1, 192.0.2.1", "2.2.2.2, 192.0.2.1", "192.0.2.1"}, "192.0.2.1, 192.0.2.2", false},
		{"two proxies", behind, []string{"192.0.2.1, 10.0.0.1", "192.0.2.1, 10.0.0.2", "1.1.1.1, 192.0.2.1, 10.0.0.3"}, "192.0.2.2, 10.0.0.1", false},
		{"loopback in the header", behind, []string{"127.0.0.1", "127.0.0.1", "::ffff:127.0.0.1"}, "127.0.0.2", false},
		{"unreadable", behind, []string{"unknown", "192.0.2.1, junk", ", ,"}, "192.0.2.2", true},
		{"unreadable, every proxy trusted", anyProxy, []string{"unknown", "a.example", "_hidden"}, "192.0.2.2", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			limit := len(tt.xff) - 1
			s := open(t, echoRecorder(), engineio.Config{Limits: engineio.Limits{MaxConnsPerIP: limit}}, siteOptions{fiber: tt.fiber})
			for _, xff := range tt.xff[:limit] {
				s.openPoll("X-Forwarded-For", xff)
			}
			for _, opener := range openers {
				if a := opener.open(s, "X-Forwarded-For", tt.xff[limit]); a.status != http.StatusTooManyRequests {
					t.Errorf("%s: %q got %d %s, want 429", opener.name, tt.xff[limit], a.status, a.body)
				}
			}
			s.openPoll("X-Forwarded-For", tt.other)
			want := 0
			if tt.warns {
				want = 1
			}
			if n := strings.Count(s.log.String(), "does not tell the client's address"); n != want {
				t.Errorf("logged %d times, want %d:\n%s", n, want, s.log)
			}
		})
	}
	t.Run("a peer that is no proxy forges the header", func(t *testing.T) {
		t.Parallel()
		peer := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 1009}
		s := open(t, echoRecorder(), engineio.Config{Limits: engineio.Limits{MaxConnsPerIP: 2}}, siteOptions{
			fiber: behind,
			wrap:  func(ln net.Listener) net.Listener { return peerListener{ln, peer} },
		})
		s.openPoll("X-Forwarded-For", "198.51.100.1")
		s.openPoll("X-Forwarded-For", "198.51.100.2")
		for _, opener := range openers {
			if a := opener.open(s, "X-Forwarded-For", "198.51.100.3"); a.status != http.StatusTooManyRequests {
				t.Errorf("%s: got %d %s, want 429", opener.name, a.status, a.body)
			}
		}
	})
	t.Run("a peer on this machine that is no proxy", func(t *testing.T) {
		t.Parallel()
		s := open(t, echoRecorder(), engineio.Config{Limits: engineio.Limits{MaxConnsPerIP: 1}}, siteOptions{fiber: behind})
		for range 3 {
			s.openPoll()
		}
	})
}

// peerListener accepts connections that come from peer.
type peerListener struct {
	net.Listener
	peer net.Addr
}

type peerConn struct {
	net.Conn
	peer net.Addr
}

func (l peerListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return peerConn{nc, l.peer}, err
}

func (c peerConn) RemoteAddr() net.Addr { return c.peer }

// Row 28: a warning names each missing timeout of the HTTP server, once.
func TestWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options siteOptions
		want    int // number of warnings
	}{
		{"all set", siteOptions{fiber: fiber.Config{ReadTimeout: 10e9, IdleTimeout: 60e9}}, 0},
		{"the read timeout is enough", siteOptions{fiber: fiber.Config{ReadTimeout: 10e9}}, 0},
		{"nothing set", siteOptions{fiber: fiber.Config{ReadTimeout: -1}, noLimits: true}, 3},
		{"no read timeout", siteOptions{fiber: fiber.Config{ReadTimeout: -1, IdleTimeout: 60e9}}, 1},
		{"no limits of bodies", siteOptions{fiber: fiber.Config{ReadTimeout: 10e9}, noLimits: true}, 1},
		{"no limits of bodies, but streams", siteOptions{fiber: fiber.Config{ReadTimeout: 10e9, StreamRequestBody: true}, noLimits: true}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, echoRecorder(), engineio.Config{}, tt.options)
			s.openPoll()
			s.openPoll()
			if got := strings.Count(s.log.String(), "level=WARN"); got != tt.want {
				t.Errorf("%d warnings, want %d:\n%s", got, tt.want, s.log)
			}
		})
	}
}
