package socketbridge_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// earlyCase is what a connect middleware emits.
type earlyCase struct {
	data  string
	most  int // events with data that fit
	extra func(s *socketbridge.Socket) error
	over  bool // extra is too much
}

// What is sent to a socket before its CONNECT is confirmed is bounded in bytes, also if a log
// keeps it. One event more closes the connection, and a volatile one is dropped.
func TestR24_SentBeforeConnect(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 300<<10)
	engine := engineio.Config{Limits: engineio.Limits{MaxBacklogBytes: 4 << 20}} // a quarter for one socket
	for name, tt := range map[string]earlyCase{
		"thousands of events":        {"x", 5000, nil, false},
		"as many bytes as fit":       {large, 3, nil, false},
		"more bytes":                 {large, 3, func(s *socketbridge.Socket) error { return s.Emit("n", large) }, true},
		"more volatile bytes":        {large, 3, func(s *socketbridge.Socket) error { return s.Volatile().Emit("n", large) }, false},
		"one event that is larger":   {strings.Repeat("x", 2<<20), 1, nil, false},
		"more beside one such event": {strings.Repeat("x", 2<<20), 1, func(s *socketbridge.Socket) error { return s.Emit("n", "x") }, true},
	} {
		for kind, config := range map[string]func() socketbridge.Config{
			"": func() socketbridge.Config { return socketbridge.Config{Engine: engine} },
			", kept by a log": func() socketbridge.Config {
				return socketbridge.Config{Engine: engine, Adapter: adapter.NewMemory().Join(), Recovery: socketbridge.Recovery{Window: time.Minute}}
			},
		} {
			t.Run(name+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					testSentBeforeConnect(t, config(), tt)
				})
			})
		}
	}
}

func testSentBeforeConnect(t *testing.T, cfg socketbridge.Config, tt earlyCase) {
	io := newServer(t, cfg)
	io.Use(func(c *socketbridge.Connect) error {
		for range tt.most {
			if err := c.Socket().Emit("n", tt.data); err != nil {
				t.Errorf("got error %v within the limit", err)
			}
		}
		if tt.extra != nil {
			if err := tt.extra(c.Socket()); tt.over != errors.Is(err, socketbridge.ErrDisconnected) {
				t.Errorf("got error %v, want ErrDisconnected: %v", err, tt.over)
			}
		}
		return c.Next()
	})
	c := dial(t, io)
	c.send("0")
	synctest.Wait()
	if tt.over {
		if reason := c.waitForClose(); reason != transport.TransportClose {
			t.Errorf("closed with %q, want %q", reason, transport.TransportClose)
		}
	} else if got := c.next(); !strings.HasPrefix(got, "0{") {
		t.Fatalf("got %.50s, want the CONNECT", got)
	} else {
		for range tt.most {
			if got := c.next(); !strings.HasPrefix(got, `2["n","x`) {
				t.Fatalf("got %.50s, want an event", got)
			}
		}
	}
	want := uint64(0)
	if tt.over {
		want = 1
	}
	if n := io.Stats().Notices["early_full"]; n != want {
		t.Errorf("early_full is counted %d times, want %d", n, want)
	}
}
