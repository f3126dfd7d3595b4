package socketbridge_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// loggingStorage logs every key and value that a storage is given.
type loggingStorage struct {
	storage.Storage
	seen *testlog.Log
}

func (w loggingStorage) log(parts ...any) { _, _ = fmt.Fprintln(w.seen, parts...) }

func (w loggingStorage) Load(ctx context.Context, key string) (storage.Item, error) {
	w.log(key)
	return w.Storage.Load(ctx, key)
}

func (w loggingStorage) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	w.log(key, string(val))
	return w.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}

func (w loggingStorage) AddMember(ctx context.Context, set, member string, ttl time.Duration) error {
	w.log(set, member)
	return w.Storage.(storage.Index).AddMember(ctx, set, member, ttl)
}

func (w loggingStorage) RemoveMember(ctx context.Context, set, member string) error {
	w.log(set, member)
	return w.Storage.(storage.Index).RemoveMember(ctx, set, member)
}

func (w loggingStorage) Members(ctx context.Context, set string) iter.Seq2[string, error] {
	w.log(set)
	return w.Storage.(storage.Index).Members(ctx, set)
}

// N6: a session's ID is in the cookie and nowhere else. It is in no room name, URL, log
// line, script, request local, answer or event, and in no key or value of the storage,
// whatever happens with users, rooms, broadcasts, presence, devices, tickets and cookies,
// and whatever fails.
func TestN6_TheIDIsInTheCookieAlone(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	var log, stored, urls, locals, answers, rooms, notifications testlog.Log
	base := memory.New()
	flaky := faulty.New(loggingStorage{base, &stored}, nil)
	t.Cleanup(func() { _ = flaky.Close() })
	s := newMembersSite(t, options{
		log:      slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true})),
		sessions: fibersession.Config{Storage: flaky},
		before: func(app *fiber.App) {
			app.Use(func(c *fiber.Ctx) error {
				err := c.Next()
				_, _ = fmt.Fprintln(&urls, c.OriginalURL())
				c.Context().VisitUserValuesAll(func(key, value any) { _, _ = fmt.Fprintf(&locals, "%+v %#v %+v %#v\n", key, key, value, value) })
				for key, value := range c.Response().Header.All() {
					if string(key) != "Set-Cookie" {
						_, _ = fmt.Fprintf(&answers, "%s: %s\n", key, value)
					}
				}
				if !c.Response().IsBodyStream() {
					_, _ = answers.Write(c.Response().Body())
				}
				return err
			})
		},
	})
	note := func(sock *socketbridge.Socket) {
		_, _ = fmt.Fprintln(&rooms, sock.AllRooms(), sock.ID(), sock.User(), sock.Namespace().Name())
		_, _ = fmt.Fprintf(&rooms, "%v %+v\n", sock.Session(), sock.Data())
	}
	s.io.OnConnection(note)
	s.io.OnPresence(func(user string, online bool) { _, _ = fmt.Fprintln(&notifications, user, online) })
	s.io.OnSessionChange(func(sock *socketbridge.Socket, keys []string) { _, _ = fmt.Fprintln(&notifications, keys); note(sock) })
	s.io.On("login", func(p *socketbridge.Packet) error {
		if err := p.Session().Login(p.Context(), "ann"); err != nil {
			return err
		}
		note(p.Socket())
		if err := p.Socket().SendCookie(p.Context()); err != nil {
			return err
		}
		return p.Ack(true)
	})
	s.io.On("panic", func(p *socketbridge.Packet) error { panic(fmt.Sprint("with ", p.Session())) })
	s.io.On("fail", func(p *socketbridge.Packet) error {
		p.Session().Set("bad", make(chan int))
		return fmt.Errorf("of %v", p.Session())
	})
	s.serve()

	var ids []string
	a := s.agent()
	recordID := func() {
		t.Helper()
		if id := a.sessionID(); len(id) == 43 && (len(ids) == 0 || ids[len(ids)-1] != id) {
			ids = append(ids, id)
		}
	}
	a.post("/visit")
	recordID()
	a.post("/login/ann")
	recordID()
	clients := []*nodetest.Client{
		a.connect(n, "/", nodetest.Options{}),
		a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}}),
		n.Connect(t, s.url, nodetest.Options{Auth: withTicket(a.ticket(""))}),
	}
	a.post("/notify/ann")
	a.post("/mine")
	for _, c := range clients {
		c.MustNext("notified")
		c.MustNext("mine")
	}
	c := clients[1]
	for _, event := range []string{"panic", "fail"} {
		_, _ = fmt.Fprintln(&answers, c.MustCall(event))
	}
	call(t, c, "login")
	var path string
	c.MustNext(socketbridge.CookieEvent).Bind(t, &path)
	path = "/socket.io/" + path
	res, _ := a.ask("POST", path)
	if res.StatusCode != 204 {
		t.Errorf("fetching the cookie: got status %d, want 204", res.StatusCode)
	}
	recordID()
	_, _ = a.ask("POST", path)
	a.get("/devices")
	for _, script := range []string{s.io.ScriptURL("module"), s.io.ScriptURL("classic")} {
		a.get(script)
	}
	waitForRefusal(t, n.Dial(t, s.url, nodetest.Options{Auth: withTicket("x"), Cookie: a.cookie()}))
	for _, method := range []string{"Load", "CompareAndSwap", "Members"} {
		flaky.SetPlan(func(call faulty.Call) faulty.Fault {
			if call.Method == method {
				return faulty.Fault{Fail: fmt.Errorf("cannot reach %q", call.Key)}
			}
			return faulty.Fault{}
		})
		_, _, _ = a.try("POST", "/login/ann")
		_, _ = a.ask("GET", "/devices")
		_, _ = a.ask("POST", "/socket.io/ticket")
		n.Dial(t, s.url+"/members", nodetest.Options{Cookie: a.cookie(), Transports: []string{"websocket"}})
		_, _ = fmt.Fprintln(&answers, c.MustCall("whoami"))
	}
	flaky.SetPlan(nil)
	a.post("/end-all/ann")
	waitForLogout(t, "all", clients[1])
	if err := s.io.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}

	if len(ids) != 3 {
		t.Fatalf("got %d session IDs, want 3", len(ids))
	}
	for where, b := range map[string]*testlog.Log{
		"log": &log, "storage": &stored, "URLs": &urls, "locals": &locals, "answers": &answers, "rooms": &rooms, "notifications": &notifications,
	} {
		text := b.String()
		if text == "" {
			t.Errorf("the %s are empty: the test checks nothing there", where)
		}
		for i, id := range ids {
			if strings.Contains(text, id) {
				t.Errorf("session ID %d is in the %s", i+1, where)
			}
		}
	}
}
