package socketbridge_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func secret(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), 32)) }

// at is the same browser on another site: cookies know no ports.
func (a *agent) at(s *site) *agent { return &agent{t: a.t, site: s, http: a.http} }

// A5: signed cookies, and rotation under load: while nodes are given new secrets one
// after the other, in the documented order, browsers and sockets go round them, and
// nobody is logged out; sockets that are open stay so.
func TestA5_RotationLogsNobodyOut(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	node := func(secrets ...[]byte) *site {
		s := newSite(t, options{sessions: fibersession.Config{Storage: st, UserKey: "user", Cookie: fibersession.Cookie{Secrets: secrets}}}).users()
		s.app.Get("/who", func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) })
		return s.serve()
	}
	phases := []*site{node(secret(1)), node(secret(1), secret(2)), node(secret(2), secret(1)), node(secret(2))}
	users := []string{"ann", "bob", "cleo", "dan"}
	browsers, open := map[string]*agent{}, map[string]*nodetest.Client{}
	for _, user := range users {
		browsers[user] = phases[0].loggedIn(user)
		open[user] = browsers[user].connect(n, "/", nodetest.Options{})
	}
	before := browsers["ann"].cookie()

	ctx, cancel := context.WithTimeout(t.Context(), nodetest.Timeout*2)
	defer cancel()
	var wg sync.WaitGroup
	for _, user := range users {
		wg.Go(func() { // waited for below
			for i := range phases[1:] {
				for range 5 {
					for _, s := range phases[i : i+2] {
						b := browsers[user].at(s)
						if got, _, err := b.try("GET", "/who"); got != user || err != nil {
							t.Errorf("phase %d: %s is %q over HTTP: %v", i+1, user, got, err)
						}
						if got, err := wireWho(ctx, s, b.cookie()); got != user || err != nil {
							t.Errorf("phase %d: %s is %q on a socket: %v", i+1, user, got, err)
						}
					}
				}
			}
		})
	}
	wg.Wait()
	for _, user := range users {
		equal(t, "on the socket that stayed", call(t, open[user], "whoami"), `"`+user+`"`)
		equal(t, "on a new one", call(t, browsers[user].at(phases[3]).connect(n, "/", nodetest.Options{}), "whoami"), `"`+user+`"`)
	}
	if browsers["ann"].cookie() == before {
		t.Error("the cookie was never replaced")
	}
	late := phases[3].agent()
	late.plant("session", strings.TrimPrefix(before, "session="))
	equal(t, "who comes with the old secret's cookie", late.get("/who"), "")
}

// wireWho asks over a WebSocket of its own who a cookie is.
func wireWho(ctx context.Context, s *site, cookie string) (string, error) {
	w, err := dialWire(ctx, s, cookie)
	if err != nil {
		return "", err
	}
	defer w.leave(true)
	if err := w.write(ctx, `420["whoami"]`); err != nil {
		return "", err
	}
	got, err := w.read(ctx)
	return strings.TrimSuffix(strings.TrimPrefix(got, `430["`), `"]`), err
}

// A handshake replaces a cookie that an old secret signed, over every transport.
func TestA5_HandshakeReplacesTheCookie(t *testing.T) {
	t.Parallel()
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	config := func(secrets ...[]byte) options {
		return options{sessions: fibersession.Config{Storage: st, UserKey: "user", Cookie: fibersession.Cookie{Secrets: secrets}}}
	}
	old, next := newSite(t, config(secret(1))).users().serve(), newSite(t, config(secret(2), secret(1))).users().serve()
	for name, header := range map[string]http.Header{
		"polling": {},
		"websocket": {
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		},
	} {
		a := old.loggedIn("ann")
		before := a.sessionID()
		req, err := http.NewRequest("GET", next.url+"/socket.io/?EIO=4&transport="+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		res, err := a.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		id, _, _ := strings.Cut(before, ".")
		if after := a.sessionID(); after == before || !strings.HasPrefix(after, id+".") {
			t.Errorf("%s: %d, the cookie was %q and is %q", name, res.StatusCode, before, after)
		}
	}
}

// stamped is a cookie's form of another program.
type stamped struct{}

func (stamped) Value(_, id string) string { return "app7~" + id }
func (stamped) ID(_, value string) (string, bool, bool) {
	id, ok := strings.CutPrefix(value, "app7~")
	return id, false, ok
}

// C7: the parser of the cookie is the app's.
func TestC7_CookieParser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, sessions: fibersession.Config{UserKey: "user", KeyLookup: "cookie:sid", Cookie: fibersession.Cookie{Format: stamped{}}}}).users().serve()
		a := s.loggedIn("ann")
		name, value, _ := strings.Cut(a.cookie(), "=")
		id, ok := strings.CutPrefix(value, "app7~")
		if name != "sid" || !ok {
			t.Fatalf("the cookie is %s=%s", name, value)
		}
		for way, o := range ways() {
			c := a.connect(n, "/", o)
			equal(t, way, call(t, c, "whoami"), `"ann"`)
			c.Close()
		}
		o := nodetest.Options{Cookie: "sid=" + id} // what the default parser would take
		equal(t, "another form", call(t, n.Connect(t, s.url, o), "whoami"), `""`)
	})
}

// C8: any function from the handshake request to an ID; here a header, the query and a
// table of API keys, which the official client sends over every transport.
func TestC8_Cutter(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		keys := map[string]string{}
		byKey := fibersession.FromCustom(func(c *fiber.Ctx) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			key, ok := strings.CutPrefix(c.Get("Authorization"), "Bearer ")
			switch {
			case key == "broken":
				return "", errors.New("the table of keys is away")
			case ok && keys[key] != "":
				return keys[key], nil
			}
			return "", fibersession.ErrNotFound
		})
		s := newSite(t, options{storage: url, sessions: fibersession.Config{
			UserKey:   "user",
			Extractor: fibersession.Chain(byKey, fibersession.FromHeader("X-Session"), fibersession.FromQuery("session"), fibersession.FromCookie("sid")),
		}}).users()
		s.io.Of("/members").RequireSession()
		s.serve()
		req, err := http.NewRequest("POST", s.url+"/login/ann", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Session", "none yet")
		res, err := s.agent().http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		ann := res.Header.Get("X-Session")
		if len(ann) != 43 || len(res.Cookies()) != 0 {
			t.Fatalf("the ID came back as %q, with cookies %v", ann, res.Cookies())
		}
		mu.Lock()
		keys["k1"] = ann
		mu.Unlock()
		for name, o := range map[string]nodetest.Options{
			"header": {Header: map[string]string{"X-Session": ann}},
			"query":  {Query: map[string]string{"session": ann}},
			"cookie": {Cookie: "sid=" + ann},
			"custom": {Header: map[string]string{"Authorization": "Bearer k1"}},
		} {
			for way, with := range ways() {
				with.Header, with.Query, with.Cookie = o.Header, o.Query, o.Cookie
				c := n.Connect(t, s.url, with)
				equal(t, name+" by "+way, call(t, c, "whoami"), `"ann"`)
				c.Close()
			}
		}
		none := n.Connect(t, s.url, nodetest.Options{Header: map[string]string{"Authorization": "Bearer k2"}})
		equal(t, "an unknown key", call(t, none, "whoami"), `""`)
		equal(t, "where one is needed", refusedWith(t, n.Dial(t, s.url+"/members", nodetest.Options{Header: map[string]string{"Authorization": "Bearer k2"}})), "session_missing")
		n.Dial(t, s.url, nodetest.Options{Header: map[string]string{"Authorization": "Bearer broken"}}).MustNext(nodetest.ConnectError)
		equal(t, "the others", call(t, none, "whoami"), `""`)
	})
}

// refusedWith waits for a connect_error and returns the code in its data.
func refusedWith(t testing.TB, c *nodetest.Client) string {
	t.Helper()
	var why struct {
		Message string
		Data    struct{ Code string }
	}
	c.MustNext(nodetest.ConnectError).Bind(t, &why)
	return why.Data.Code
}
