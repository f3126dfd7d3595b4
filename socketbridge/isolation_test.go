package socketbridge_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestNoForeignData checks defects D1, D2, D3, D7 and D19 at the public API. Sockets of
// many visitors connect and disconnect at any moment while their handlers keep sessions,
// handshakes and cookies and use them after the disconnect. Requests of other visitors
// reuse the released memory. No visitor ever receives a cookie, a value or a message of
// another.
func TestNoForeignData(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		mode socketbridge.SessionMode
	}{
		{"D1 D2 D3 D7 D19 per packet", socketbridge.SessionPerPacket},
		{"D1 D2 D3 D7 D19 manual, saved by hand from callbacks", socketbridge.SessionManual},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			testNoForeignData(t, tt.mode)
		})
	}
}

func testNoForeignData(t *testing.T, mode socketbridge.SessionMode) {
	visitors, rounds := 16, 60
	if testing.Short() {
		visitors, rounds = 8, 10
	}
	s := newSite(t, options{
		bridge: socketbridge.Config{Mode: mode},
		before: func(app *fiber.App) {
			app.Use(func(c *fiber.Ctx) error {
				c.Locals("me", c.Cookies("me")) // a string backed by the request's buffer
				return c.Next()
			})
		},
	})
	var late sync.WaitGroup // goroutines that outlive their socket
	var background []func()
	var bgMu sync.Mutex
	s.app.Get("/login/:me", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("me", c.Params("me"))
		return nil
	})
	s.app.Get("/touch", func(c *fiber.Ctx) error { // writes, so that the response may set a cookie
		sess := fibersession.FromContext(c)
		sess.Set("n", rand.Int())
		return c.SendString(valueOf[string](sess, "me"))
	})
	s.io.OnConnection(func(sock *socketbridge.Socket) {
		sess, hs := sock.Session(), sock.Handshake()
		me := strings.Clone(hs.Cookies["me"])
		verify := func(when string) {
			if got := valueOf[string](sess, "me"); got != me && sess.Err() == nil {
				t.Errorf("%s: the session has user %q, want %q", when, got, me)
			}
			if hs.Cookies["me"] != me || hs.Locals["me"] != me || hs.Header.Get("X-Me") != me || hs.Query.Get("me") != "" {
				t.Errorf("%s: the handshake has cookie %q, local %q and header %q, want %q in each", when, hs.Cookies["me"], hs.Locals["me"], hs.Header.Get("X-Me"), me)
			}
		}
		verify("at connect")
		save := func() {
			sess.Set("seen", rand.Int())
			_ = sess.Save(context.Background())
		}
		sock.On("who", func(p *socketbridge.Packet) error {
			verify("in a handler")
			save()
			bgMu.Lock()
			background = append(background, func() { verify("long after the end"); save() })
			bgMu.Unlock()
			late.Go(func() { // runs when the socket has ended
				<-sock.Done()
				save()
				verify("after the end")
				_ = sock.Emit("late", me)
				_ = p.Ack("late")
			})
			return p.Ack(me)
		})
		sock.OnDisconnect(func(socketbridge.Reason) { verify("at disconnect"); save() })
	})
	s.serve()

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var visiting sync.WaitGroup
	for i := range visitors {
		me := fmt.Sprintf("person-%02d", i)
		a := s.agent()
		a.get("/login/" + me)
		own := a.cookie()
		visiting.Go(func() {
			for range rounds {
				if err := visit(ctx, s, me, own); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	visiting.Wait()
	late.Wait()
	bgMu.Lock()
	defer bgMu.Unlock()
	for _, fn := range background {
		fn()
	}
}

// visit opens a socket as one visitor, emits, disconnects in one of several ways, and
// makes requests of the same visitor.
func visit(ctx context.Context, s *site, me, cookie string) error {
	header := http.Header{"Cookie": {cookie + "; me=" + me}, "X-Me": {me}}
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.url, "http")+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return fmt.Errorf("%s: %w", me, err)
	}
	w := &wsPeer{ws}
	if _, err := w.read(ctx); err != nil {
		return err
	}
	if err := w.write(ctx, "40"); err != nil {
		return err
	}
	way := rand.IntN(3)
	if way > 0 {
		if _, err := w.read(ctx); err != nil {
			return err
		}
		if err := w.write(ctx, `421["who"]`); err != nil {
			return err
		}
		if way > 1 {
			if got, err := w.read(ctx); err != nil || got != `431["`+me+`"]` {
				return fmt.Errorf("%s: who was answered with %s: %w", me, got, err)
			}
		}
	}
	w.close(rand.IntN(2) == 0)
	for range 3 {
		req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/touch", nil)
		if err != nil {
			return err
		}
		req.Header = header
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(body) != me {
			return fmt.Errorf("%s got the session of %q: %w", me, body, err)
		}
		for _, set := range res.Header.Values("Set-Cookie") {
			if !strings.HasPrefix(set, cookie+";") {
				return fmt.Errorf("%s got the cookie of another visitor", me)
			}
		}
	}
	return nil
}
