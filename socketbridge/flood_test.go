package socketbridge_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// TestFlood checks that Limits.EventsPerSecond counts all that a client sends, of whatever
// protocol, and that its connection is closed. The engine's tests check when.
func TestFlood(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, frame string }{
		"events":          {"/socket.io/?EIO=4&transport=websocket", `42["e"]`},
		"noops":           {"/socket.io/?EIO=4&transport=websocket", "6"},
		"plain WebSocket": {"/plain", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var handled atomic.Int32
			ended := make(chan transport.Reason, 1)
			s := newSite(t, options{bridge: socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: 10}}})
			s.io.On("e", func(*socketbridge.Packet) error { handled.Add(1); return nil })
			s.io.On("message", func(*socketbridge.Packet) error { handled.Add(1); return nil })
			s.io.OnConnection(func(so *socketbridge.Socket) {
				so.OnDisconnect(func(r transport.Reason) { ended <- r })
			})
			s.app.Get("/plain", s.io.Of("/").WebSocket())
			s.serve()
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.url, "http")+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ws.CloseNow() }()
			if c.path != "/plain" {
				_ = ws.Write(ctx, websocket.MessageText, []byte("40"))
				for range 2 { // the open packet, and the answer to CONNECT
					if _, _, err := ws.Read(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
			closed := make(chan websocket.StatusCode)
			go func() { // received below
				for {
					if _, _, err := ws.Read(ctx); err != nil {
						closed <- websocket.CloseStatus(err)
						return
					}
				}
			}()
			began := time.Now()
			for ws.Write(ctx, websocket.MessageText, []byte(c.frame)) == nil {
				continue
			}
			if code := <-closed; code != websocket.StatusNormalClosure {
				t.Errorf("closed with %d, want %d", code, websocket.StatusNormalClosure)
			}
			if r := <-ended; r != transport.ForcedClose {
				t.Errorf("the socket ended with %q, want %q", r, transport.ForcedClose)
			}
			if n, most := handled.Load(), 50+10*time.Since(began).Seconds(); float64(n) > most {
				t.Errorf("got %d handled events, want at most %.0f", n, most)
			}
			st := s.io.Stats()
			if st.Notices["flood"] != 1 || st.Engine.Notices["slowed_down"] == 0 {
				t.Errorf("reported %v and %v", st.Notices, st.Engine.Notices)
			}
		})
	}
}

// The limits of a socket's client are those of its transport. They can be set in either
// place, but not to two values.
func TestR18_LimitsOfTheEngine(t *testing.T) {
	t.Parallel()
	type limits struct{ events, bytes, packets, engineBytes int }
	def := engineio.ConfigDefault.Limits
	for _, tt := range []struct {
		set, want limits
		says      string
	}{
		{set: limits{}, want: limits{200, 4 << 20, 200, 4 << 20}},
		{set: limits{events: 50, bytes: 1 << 20}, want: limits{50, 1 << 20, 50, 1 << 20}},
		{set: limits{events: -1, bytes: -1}, want: limits{-1, -1, -1, -1}},
		{set: limits{packets: 50, engineBytes: 1 << 20}, want: limits{50, 1 << 20, 50, 1 << 20}},
		{set: limits{events: 50, packets: 50}, want: limits{50, 4 << 20, 50, 4 << 20}},
		{set: limits{events: 50, packets: def.PacketsPerSecond}, want: limits{50, 4 << 20, 50, 4 << 20}}, // as in a copy of ConfigDefault
		{set: limits{events: 50, packets: 60}, says: "Limits.EventsPerSecond is 50, but Config.Engine.Limits.PacketsPerSecond is 60"},
		{set: limits{bytes: 50, engineBytes: -1}, says: "Limits.BytesPerSecond is 50, but Config.Engine.Limits.BytesPerSecond is -1"},
	} {
		func() {
			defer func() {
				said, _ := recover().(string)
				if tt.says == "" && said != "" || !strings.Contains(said, tt.says) {
					t.Errorf("%+v: New said %q, want %q", tt.set, said, tt.says)
				}
			}()
			cfg := socketbridge.Config{
				Logger: silent,
				Limits: socketbridge.Limits{EventsPerSecond: tt.set.events, BytesPerSecond: tt.set.bytes},
				Engine: engineio.Config{Limits: engineio.Limits{PacketsPerSecond: tt.set.packets, BytesPerSecond: tt.set.engineBytes}},
			}
			for range 2 { // its own result changes nothing
				cfg = newServer(t, cfg).Config()
				got := limits{cfg.Limits.EventsPerSecond, cfg.Limits.BytesPerSecond, cfg.Engine.Limits.PacketsPerSecond, cfg.Engine.Limits.BytesPerSecond}
				if got != tt.want {
					t.Errorf("%+v gives %+v, want %+v", tt.set, got, tt.want)
				}
			}
		}()
	}
}
