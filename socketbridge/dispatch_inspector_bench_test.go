package socketbridge_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/eventbench"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/inspector"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// pageConn is a discardConn of a page. It reports the text of each message.
type pageConn struct {
	discardConn
	texts chan string
}

func (c pageConn) Send(_ transport.Flags, all ...transport.Message) error {
	for _, m := range all {
		select {
		case c.texts <- string(m.Data):
		default:
		}
	}
	return nil
}

// BenchmarkEvent_Inspected is BenchmarkEvent with an inspector that is mounted, and while a page
// watches: it gets a summary each second and asks for a list, a user and the time line every
// three seconds. To compare the CPU, run it with "none" in turns on a quiet machine.
func BenchmarkEvent_Inspected(b *testing.B) {
	for _, mode := range []string{"none", "mounted", "watched"} {
		b.Run(mode, func(b *testing.B) {
			store := fibersession.New(fibersession.Config{Logger: silent, UserKey: "user"})
			h := newStoredSession(b, store, map[string]any{"n": 1, "user": "ada"})
			io := newServer(b, socketbridge.Config{Sessions: store, Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1}})
			io.On("e", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("n")) })
			if mode != "none" {
				handler := inspector.New(inspector.Config{Bridge: io, Authorize: func(*fiber.Ctx) (string, error) { return "root", nil }})
				if mode == "watched" {
					defer watch(b, io, handler)()
				}
			}
			eventbench.Run(b, io, socketbridge.Lifted(h), eventbench.Same(`20["e"]`))
		})
	}
}

// watch opens a page without a browser, until stop is called.
func watch(b *testing.B, io *socketbridge.Server, handler fiber.Handler) (stop func()) {
	app := fiber.New()
	app.Use("/inspector", handler)
	req := httptest.NewRequest("POST", "/inspector/pass", nil)
	req.Header.Set("X-Inspector", "1")
	res, err := app.Test(req)
	if err != nil {
		b.Fatal(err)
	}
	var pass json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&pass); err != nil {
		b.Fatal(err)
	}
	conn := pageConn{texts: make(chan string, 100)}
	r, err := io.Accept(conn)
	if err != nil {
		b.Fatal(err)
	}
	send := func(format string, args ...any) {
		if err := r.Receive(transport.Message{Data: fmt.Appendf(nil, format, args...)}); err != nil {
			b.Error(err)
		}
	}
	send("0%s,%s", inspector.Namespace, pass)
	if text := <-conn.texts; !strings.HasPrefix(text, "0") {
		b.Fatal(text)
	}
	send(`2%s,["visible",true]`, inspector.Namespace)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { // stop waits for it
		defer close(ended)
		for tick := time.Tick(3 * time.Second); ; {
			for n, query := range []string{`{"op":"users"}`, `{"op":"user","user":"ada"}`, `{"op":"timeline","filter":{"user":"ada"}}`} {
				send(`2%s,%d["ask",%s]`, inspector.Namespace, n, query)
			}
			select {
			case <-tick:
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		r.Closed(transport.TransportClose, nil)
	}
}
