package socketbridge_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

// rawID returns the session ID in an agent's cookie.
func rawID(t testing.TB, a *agent) string {
	t.Helper()
	text, err := url.QueryUnescape(strings.TrimPrefix(a.cookie(), "connect.sid="))
	id, _, ok := strings.Cut(strings.TrimPrefix(text, "s:"), ".")
	if err != nil || !ok || !strings.HasPrefix(text, "s:") {
		t.Fatalf("got cookies %q, want a signed connect.sid", a.cookie())
	}
	return id
}

// storedFields returns the raw fields of a stored session, or nil if there is none.
func (w *expressSite) storedFields(id string) map[string]json.RawMessage {
	w.t.Helper()
	data, err := w.redis.Get("sess:" + id)
	if err != nil {
		w.t.Fatal(err)
	}
	if data == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		w.t.Fatalf("%v: %s", err, data)
	}
	return fields
}

// expressSite is a Fiber site and an Express app that share a Redis and a cookie.
type expressSite struct {
	*site
	node    *nodetest.Node
	express string // its URL
	redis   storage.Storage
}

const expressSecret = "an Express secret of thirty-two bytes or more"

// newExpressSite starts both apps. change, unless nil, changes their options.
func newExpressSite(t *testing.T, change func(o *options, e *nodetest.ExpressOptions)) *expressSite {
	t.Helper()
	url := redistest.Start(t).URL()
	o := options{storage: url}
	o.sessions.UserKey = "user"
	o.sessions.Express = &fibersession.Express{Secrets: []string{expressSecret}}
	o.sessions.Tracking.Recheck = 50 * time.Millisecond
	e := nodetest.ExpressOptions{Redis: url, Secrets: []string{expressSecret}}
	if change != nil {
		change(&o, &e)
	}
	redis, err := storage.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	w := &expressSite{site: newSite(t, o), node: nodetest.Start(t), redis: redis}
	w.express = w.node.Express(t, e)
	w.counter()
	w.app.Get("/user", func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) })
	w.app.Get("/get/:key", func(c *fiber.Ctx) error { return c.JSON(fibersession.FromContext(c).Get(c.Params("key"))) })
	w.app.Post("/set/:key/:value", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set(c.Params("key"), strings.Clone(c.Params("value")))
		return nil
	})
	w.app.Post("/login/:user", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Login(strings.Clone(c.Params("user")))
	})
	w.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	w.app.Post("/regenerate", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() })
	w.io.On("user", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	w.io.On("get", func(p *socketbridge.Packet) error {
		var key string
		if err := p.Bind(&key); err != nil {
			return err
		}
		return p.Ack(p.Session().Get(key))
	})
	w.serve()
	return w
}

// askExpress makes a request to the Express app with the agent's cookies, which must succeed,
// and returns the body.
func (w *expressSite) askExpress(a *agent, method, path string, body ...any) string {
	w.t.Helper()
	text, _ := w.askExpressFull(a, method, path, body...)
	return text
}

func (w *expressSite) askExpressFull(a *agent, method, path string, body ...any) (string, http.Header) {
	w.t.Helper()
	var in io.Reader
	if len(body) > 0 {
		data, err := json.Marshal(body[0])
		if err != nil {
			w.t.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, w.express+path, in)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		w.t.Fatalf("%s %s in Express: got status %d, body %s and error %v, want 200", method, path, res.StatusCode, text, err)
	}
	return string(text), res.Header
}

// expressSession is an agent's session as Express reports it.
type expressSession struct {
	ID      string         `json:"id"`
	Session map[string]any `json:"session"`
}

func (w *expressSite) session(a *agent) expressSession {
	w.t.Helper()
	var s expressSession
	if err := json.Unmarshal([]byte(w.askExpress(a, "GET", "/express")), &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// socket connects a WebSocket client with an agent's cookie.
func (w *expressSite) socket(a *agent) *nodetest.Client {
	w.t.Helper()
	return a.connect(w.node, "/", nodetest.Options{Transports: []string{"websocket"}})
}
