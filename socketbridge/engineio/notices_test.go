package engineio_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/timeout"

	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// refusingAcceptor accepts no connection.
type refusingAcceptor struct{}

func (refusingAcceptor) Accept(transport.Conn) (transport.Receiver, error) {
	return nil, errors.New("full")
}

// noticeCases provoke one kind of notice each, at least twice.
var noticeCases = map[string]struct {
	cfg     engineio.Config
	options siteOptions
	do      func(s *site)
}{
	"bad_request":        {do: func(s *site) { s.do("GET", "EIO=4&transport=bogus", ""); s.do("GET", "EIO=4&transport=bogus", "") }},
	"connection_unknown": {do: func(s *site) { s.do("GET", polling+"&sid=SECRET", ""); s.do("POST", polling+"&sid=SECRET", "4x") }},
	"payload_too_large": {engineio.Config{MaxPayload: 10}, siteOptions{}, func(s *site) {
		p := s.openPoll()
		p.post(strings.Repeat("4", 20))
		p.post(strings.Repeat("4", 20))
	}},
	"handshake_refused": {options: siteOptions{hooks: engineio.Hooks{Lift: func(*fiber.Ctx) (any, error) { return nil, errors.New("no room") }}}, do: handshakes},
	"handshake_at_shutdown": {do: func(s *site) {
		if err := s.engine.Shutdown(context.Background()); err != nil {
			s.t.Error(err)
		}
		handshakes(s)
	}},
	"origin_refused": {do: func(s *site) {
		s.do("GET", polling, "", "Origin", "https://evil.example")
		s.do("GET", polling, "", "Origin", "https://evil.example")
	}},
	"too_many_connections": {engineio.Config{Limits: engineio.Limits{MaxConns: 1}}, siteOptions{}, func(s *site) { s.openPoll(); handshakes(s) }},
	"protocol_version":     {do: func(s *site) { s.do("GET", "EIO=3&transport=polling", ""); s.do("GET", "EIO=3&transport=polling", "") }},
	"not_opened":           {options: siteOptions{acceptor: refusingAcceptor{}}, do: handshakes},
	"upgrade_failed": {do: func(s *site) {
		for range 2 {
			p := s.openPoll()
			ws, a := s.dialWS("EIO=4&transport=websocket&sid=" + p.sid)
			if ws == nil {
				s.t.Fatalf("the upgrade was answered with %d", a.status)
			}
			ws.sendText("4no probe")
			ws.readClose()
		}
	}},
	"slowed_down": {engineio.Config{Limits: engineio.Limits{PacketsPerSecond: 1}}, siteOptions{}, func(s *site) {
		c := s.openWS()
		for range 5 {
			c.sendText("6")
		}
	}},
	"receiver_panic": {do: func(s *site) {
		s.recorder.OnReceive = func(*transporttest.Accepted, transport.Message) error { panic("wrong") }
		s.openPoll().post("4a")
		s.openPoll().post("4a")
	}},
	"read_timeout_unset":  {options: siteOptions{fiber: fiber.Config{ReadTimeout: -1}}, do: handshakes},
	"idle_timeout_unset":  {options: siteOptions{fiber: fiber.Config{ReadTimeout: -1}}, do: handshakes},
	"write_timeout_unset": {do: handshakes},
	"bodies_unlimited":    {options: siteOptions{noLimits: true}, do: handshakes},
	"body_too_large":      {options: siteOptions{fiber: fiber.Config{BodyLimit: 10_000}}, do: largePosts},
	"bodies_full":         {options: siteOptions{maxBodies: 1}, do: largePosts},
	"ambiguous_request": {do: func(s *site) {
		converse(s, "POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		converse(s, "POST /socket.io/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n")
	}},
	"mounted_wrongly": {options: siteOptions{before: func(app *fiber.App) {
		//lint:ignore SA1019 it is deprecated because of what the warning says
		app.Use(timeout.New(func(c *fiber.Ctx) error { return c.Next() }, time.Minute))
	}}, do: handshakes},
	"header_nearly_full": {options: siteOptions{fiber: fiber.Config{ReadBufferSize: 2000}}, do: func(s *site) {
		for range 2 {
			s.do("GET", polling, "", "Cookie", "big="+strings.Repeat("x", 1600))
		}
	}},
	"other_path": {do: func(s *site) {
		for range 2 {
			res, err := s.client.Get("http://" + s.addr + "/v1/socket.io/?" + polling)
			if err != nil {
				s.t.Fatal(err)
			}
			_ = res.Body.Close()
		}
	}},
	"origin_func_panic": {cfg: engineio.Config{AllowOriginFunc: func(string, *fiber.Ctx) bool { panic("wrong") }}, do: func(s *site) {
		for range 2 {
			s.rawRequest("GET", "/socket.io/?"+polling, "Origin: https://other.example", "")
		}
	}},
	"refused_hook_panic": {do: func(s *site) {
		s.engine.OnRefused(func(engineio.Refusal) { panic("wrong") })
		s.do("GET", "EIO=3&transport=polling", "")
		s.do("GET", "EIO=3&transport=polling", "")
	}},
}

// largePosts posts 20,000 bytes twice.
func largePosts(s *site) {
	p := s.openPoll()
	p.post(strings.Repeat("4", 20_000))
	p.post(strings.Repeat("4", 20_000))
}

// handshakes makes two handshakes.
func handshakes(s *site) { s.do("GET", polling, ""); s.do("GET", polling, "") }

// Each kind is counted, and logged in one line that names the setting, and no connection ID.
func TestS6_Notices(t *testing.T) {
	t.Parallel()
	kinds := noticetest.Declared(t, ".")
	for name, c := range noticeCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log noticetest.Log
			c.cfg.Logger = log.Logger()
			s := open(t, echoRecorder(), c.cfg, c.options)
			c.do(s)
			times := uint64(2)
			if kinds[name].Once { // some are looked for once
				times = 1
			}
			waitFor(t, func() bool { return s.engine.Stats().Notices[name] >= times && len(log.Lines(name)) > 0 })
			log.Check(t, kinds[name], s.engine.Stats().Notices, "SECRET")
		})
	}
}

func TestS6_EveryNoticeIsProvoked(t *testing.T) {
	t.Parallel()
	noticetest.Asserted(t, ".", slices.Collect(maps.Keys(noticeCases))...)
}

// Requests that a client makes up a thousand times are logged in at most 11 lines.
func TestS6_AFloodIsLoggedInBounds(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(s *site, i int){
		"bad_request":        func(s *site, i int) { s.do("GET", fmt.Sprintf("EIO=4&transport=t%d", i), "") },
		"connection_unknown": func(s *site, i int) { s.do("GET", fmt.Sprintf("%s&sid=s%d", polling, i), "") },
		"protocol_version":   func(s *site, i int) { s.do("GET", fmt.Sprintf("EIO=%d&transport=polling", 5+i), "") },
		"origin_refused": func(s *site, i int) {
			s.do("GET", polling, "", "Origin", fmt.Sprintf("https://evil%d.example", i))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log noticetest.Log
			s := open(t, echoRecorder(), engineio.Config{Logger: log.Logger()})
			for i := range 1000 {
				request(s, i)
			}
			if lines := log.Lines(name); len(lines) == 0 || len(lines) > 11 {
				t.Errorf("%d lines are logged, want 1 to 11", len(lines))
			}
			if got := s.engine.Stats().Notices[name]; got != 1000 {
				t.Errorf("counted %d times, want 1000", got)
			}
		})
	}
}
