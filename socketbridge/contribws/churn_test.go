package contribws_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
)

// TestE4_ChurnReachesNobodyElse opens and ends connections of many users, with and without a
// close handshake, while messages are sent in both directions. Listeners keep their arguments
// and use them long after the end, when other requests reuse the freed memory. Every message
// has the name of its user. No user may get another's message, session or request.
//
// CONTRIBWS_CHURN=60s sets the duration.
func TestE4_ChurnReachesNobodyElse(t *testing.T) {
	t.Parallel()
	lasts := 4 * time.Second
	if s := os.Getenv("CONTRIBWS_CHURN"); s != "" {
		var err error
		if lasts, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	var foreign, handled, received, opened atomic.Int64
	var late sync.WaitGroup // listeners that still run after the end of their connection

	check := func(kws *socketio.Websocket, me string) {
		sess := contribws.SessionOf(kws)
		if got := valueOf[string](sess, "user"); got != me && sess.Err() == nil {
			foreign.Add(1)
			t.Errorf("the session of %s has the user %q", me, got)
		}
		got := []string{
			kws.Params("room"), kws.Query("me"), kws.Cookies("me"),
			kws.Locals("me").(string), kws.Conn.Cookies("me"), kws.Conn.Headers("X-Me"), contribws.SocketOf(kws).Handshake().Cookies["me"],
		}
		for i, g := range got {
			if g != me {
				foreign.Add(1)
				t.Errorf("value %d of %s is %q", i, me, g)
			}
		}
	}
	s := newSite(t, options{
		before: func(app *fiber.App) {
			app.Use(func(c *fiber.Ctx) error {
				c.Locals("me", c.Cookies("me")) // a string that shares the request's memory
				return c.Next()
			})
		},
		route: contribws.Config{Connect: func(kws *socketio.Websocket) {
			me := strings.Clone(kws.Cookies("me"))
			kws.SetAttribute("me", me)
			kws.Emit([]byte(me + " connected"))
		}},
		listeners: listeners{
			socketio.EventMessage: func(ep *socketio.EventPayload) {
				handled.Add(1)
				me := ep.Kws.GetStringAttribute("me")
				check(ep.Kws, me)
				if bytes.HasPrefix(ep.Data, []byte("[")) {
					return // an event
				}
				if !bytes.HasPrefix(ep.Data, []byte(me+" ")) {
					foreign.Add(1)
					t.Errorf("a message from %s is %q", me, ep.Data)
				}
				ep.Kws.Emit(append([]byte(me+" heard "), ep.Data...))
				ep.Kws.Emit([]byte(me+" binary"), socketio.BinaryMessage)
				_ = ep.Kws.EmitTo(ep.SocketUUID, []byte(me+" by its UUID"))
			},
			socketio.EventDisconnect: func(ep *socketio.EventPayload) {
				me, kws := ep.Kws.GetStringAttribute("me"), ep.Kws
				late.Go(func() { // runs at any time after the end
					for i := range 20 {
						time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // coincides with the start of other connections
						kws.Emit([]byte(fmt.Sprintf("%s late %d", me, i)))
						kws.SetAttribute("late", me)
						_ = socketio.EmitTo(ep.SocketUUID, []byte(me+" late by UUID"))
						_ = contribws.SocketOf(kws).Emit("late", me)
						check(kws, me)
					}
				})
			},
		},
		setup: func(s *site) {
			s.io.On("say", func(p *socketbridge.Packet) error {
				return p.Socket().Emit("said", p.Session().Get("user"))
			})
		},
	})

	ctx, cancel := context.WithTimeout(t.Context(), lasts+time.Minute)
	defer cancel()
	end := time.Now().Add(lasts)
	var crowd sync.WaitGroup
	for i := range 24 {
		me := fmt.Sprintf("person-%02d", i)
		a := &browser{site: s}
		a.get("/set/user/" + me)
		a.cookie += "; me=" + me
		crowd.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				n, err := visit(ctx, a, me)
				if err != nil {
					t.Error(err)
				}
				opened.Add(1)
				received.Add(int64(n))
				if body, err := a.tryGet("/get/user"); err != nil || body != me {
					t.Errorf("the user of %s is %q: %v", me, body, err)
				}
			}
		})
	}
	crowd.Wait()
	late.Wait()
	if handled.Load() == 0 || received.Load() == 0 {
		t.Error("no messages were exchanged")
	}
	t.Logf("%d connections, %d messages to listeners, %d to clients, %d of other users", opened.Load(), handled.Load(), received.Load(), foreign.Load())
}

// visit opens one connection, exchanges messages and ends it in one of several ways. It returns
// the number of messages received, all of which must belong to the user me.
func visit(ctx context.Context, a *browser, me string) (received int, err error) {
	c, err := a.tryDial(ctx, "/ws/"+me+"?me="+me, "X-Me", me)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", me, err)
	}
	defer c.ws.CloseNow()
	talk, stop := context.WithCancel(ctx)
	defer stop()
	var writer sync.WaitGroup
	toSend := rand.IntN(12)
	writer.Go(func() {
		for i := range toSend {
			text := fmt.Sprintf("%s says %d", me, i)
			if i%3 == 2 {
				text = `["say"]`
			}
			if c.ws.Write(talk, websocket.MessageText, []byte(text)) != nil {
				return
			}
		}
	})
	for want := rand.IntN(3*toSend + 2); received < want; {
		_, b, err := c.ws.Read(ctx)
		if err != nil {
			return received, fmt.Errorf("%s after %d of %d: %w", me, received, want, err)
		}
		received++
		if !bytes.HasPrefix(b, []byte(me+" ")) && string(b) != `["said","`+me+`"]` {
			return received, fmt.Errorf("%s received %q", me, b)
		}
		if received > toSend*2 {
			break
		}
	}
	if rand.IntN(2) == 0 {
		stop() // possibly in the middle of a frame
		_ = c.ws.CloseNow()
	} else {
		_ = c.ws.Close(websocket.StatusNormalClosure, "")
	}
	writer.Wait()
	return received, nil
}
