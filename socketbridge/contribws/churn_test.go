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

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
)

// TestE4_ChurnReachesNobodyElse: connections of many people come and go, politely
// and not, in the middle of what is sent in both directions, while listeners keep
// what they were given and go on using it long after the end, and requests of others
// take over whatever memory was given back. Every message is tagged with its owner,
// and nobody ever receives another's, or sees another's session or request.
//
// CONTRIBWS_CHURN=60s makes it longer.
func TestE4_ChurnReachesNobodyElse(t *testing.T) {
	t.Parallel()
	lasts := 4 * time.Second
	if s := os.Getenv("CONTRIBWS_CHURN"); s != "" {
		var err error
		if lasts, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	var foreign, heard, received, opened atomic.Int64
	var late sync.WaitGroup // what listeners still do when their connection has ended

	check := func(kws *socketio.Websocket, me string) {
		sess := contribws.SessionOf(kws)
		if got := fibersession.Value[string](sess, "user"); got != me && sess.Err() == nil {
			foreign.Add(1)
			t.Errorf("the session of %s says %q", me, got)
		}
		got := []string{
			kws.Params("room"), kws.Query("me"), kws.Cookies("me"),
			kws.Locals("me").(string), kws.Conn.Cookies("me"), kws.Conn.Headers("X-Me"), contribws.SocketOf(kws).Handshake().Cookies["me"],
		}
		for i, g := range got {
			if g != me {
				foreign.Add(1)
				t.Errorf("value %d of %s is that of %q", i, me, g)
			}
		}
	}
	s := newSite(t, options{
		before: func(app *fiber.App) {
			app.Use(func(c *fiber.Ctx) error {
				c.Locals("me", c.Cookies("me")) // a string in the request's own memory
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
				heard.Add(1)
				me := ep.Kws.GetStringAttribute("me")
				check(ep.Kws, me)
				if bytes.HasPrefix(ep.Data, []byte("[")) {
					return // for the chains
				}
				if !bytes.HasPrefix(ep.Data, []byte(me+" ")) {
					foreign.Add(1)
					t.Errorf("%s is said to have sent %q", me, ep.Data)
				}
				ep.Kws.Emit(append([]byte(me+" heard "), ep.Data...))
				ep.Kws.Emit([]byte(me+" binary"), socketio.BinaryMessage)
				_ = ep.Kws.EmitTo(ep.SocketUUID, []byte(me+" by its UUID"))
			},
			socketio.EventDisconnect: func(ep *socketio.EventPayload) {
				me, kws := ep.Kws.GetStringAttribute("me"), ep.Kws
				late.Go(func() { // at any moment from now on
					for i := range 20 {
						time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // to meet others' beginnings
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
		a := &agent{site: s}
		a.get("/set/user/" + me)
		a.cookie += "; me=" + me
		crowd.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				n, err := stay(ctx, a, me)
				if err != nil {
					t.Error(err)
				}
				opened.Add(1)
				received.Add(int64(n))
				if body, err := a.try("/get/user"); err != nil || body != me {
					t.Errorf("%s is served as %q: %v", me, body, err)
				}
			}
		})
	}
	crowd.Wait()
	late.Wait()
	if heard.Load() == 0 || received.Load() == 0 {
		t.Error("nothing was said")
	}
	t.Logf("%d connections, %d messages heard, %d received, %d foreign", opened.Load(), heard.Load(), received.Load(), foreign.Load())
}

// stay opens one connection, talks for a moment and leaves in one of many ways. It
// returns how many messages came, all of which must be its own.
func stay(ctx context.Context, a *agent, me string) (received int, err error) {
	c, err := a.tryDial(ctx, "/ws/"+me+"?me="+me, "X-Me", me)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", me, err)
	}
	defer c.ws.CloseNow()
	talk, stop := context.WithCancel(ctx)
	defer stop()
	var writer sync.WaitGroup
	said := rand.IntN(12)
	writer.Go(func() {
		for i := range said {
			text := fmt.Sprintf("%s says %d", me, i)
			if i%3 == 2 {
				text = `["say"]`
			}
			if c.ws.Write(talk, websocket.MessageText, []byte(text)) != nil {
				return
			}
		}
	})
	for want := rand.IntN(3*said + 2); received < want; {
		_, b, err := c.ws.Read(ctx)
		if err != nil {
			return received, fmt.Errorf("%s after %d of %d: %w", me, received, want, err)
		}
		received++
		if !bytes.HasPrefix(b, []byte(me+" ")) && string(b) != `["said","`+me+`"]` {
			return received, fmt.Errorf("%s received %q", me, b)
		}
		if received > said*2 {
			break
		}
	}
	if rand.IntN(2) == 0 {
		stop() // in the middle of a frame, perhaps
		_ = c.ws.CloseNow()
	} else {
		_ = c.ws.Close(websocket.StatusNormalClosure, "")
	}
	writer.Wait()
	return received, nil
}
