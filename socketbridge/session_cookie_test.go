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

// A5: rotation of the cookie secrets under load. Nodes get new secrets one after the
// other, in the documented order, while browsers and sockets use all of them. No user is
// logged out, and open sockets stay open.
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
						b := browsers[user].onSite(s)
						if got, _, err := b.try("GET", "/who"); got != user || err != nil {
							t.Errorf("phase %d: user over HTTP: got %q and error %v, want %s", i+1, got, err, user)
						}
						if got, err := userOverWebSocket(ctx, s, b.cookie()); got != user || err != nil {
							t.Errorf("phase %d: user on a socket: got %q and error %v, want %s", i+1, got, err, user)
						}
					}
				}
			}
		})
	}
	wg.Wait()
	for _, user := range users {
		equal(t, "user on the open socket", call(t, open[user], "whoami"), `"`+user+`"`)
		equal(t, "user on a new socket", call(t, browsers[user].onSite(phases[3]).connect(n, "/", nodetest.Options{}), "whoami"), `"`+user+`"`)
	}
	if browsers["ann"].cookie() == before {
		t.Error("the cookie was not replaced during the rotation")
	}
	late := phases[3].agent()
	late.setCookie("session", strings.TrimPrefix(before, "session="))
	equal(t, "user with a cookie of the old secret", late.get("/who"), "")
}

// userOverWebSocket returns the user of a cookie, as a new WebSocket connection reports it.
func userOverWebSocket(ctx context.Context, s *site, cookie string) (string, error) {
	w, err := dialWebSocket(ctx, s, cookie)
	if err != nil {
		return "", err
	}
	defer w.close(true)
	if err := w.write(ctx, `420["whoami"]`); err != nil {
		return "", err
	}
	got, err := w.read(ctx)
	return strings.TrimSuffix(strings.TrimPrefix(got, `430["`), `"]`), err
}

// A handshake replaces a cookie that was signed with an old secret, on every transport.
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
			t.Errorf("%s: status %d, cookie before %q and after %q, want the same ID with a new signature", name, res.StatusCode, before, after)
		}
	}
}

// prefixedCookie is a cookie format that another program uses.
type prefixedCookie struct{}

func (prefixedCookie) Value(_, id string) string { return "app7~" + id }
func (prefixedCookie) ID(_, value string) (string, bool, bool) {
	id, ok := strings.CutPrefix(value, "app7~")
	return id, false, ok
}

// C7: the app can replace the parser of the cookie.
func TestC7_CookieParser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, sessions: fibersession.Config{UserKey: "user", KeyLookup: "cookie:sid", Cookie: fibersession.Cookie{Format: prefixedCookie{}}}}).users().serve()
		a := s.loggedIn("ann")
		name, value, _ := strings.Cut(a.cookie(), "=")
		id, ok := strings.CutPrefix(value, "app7~")
		if name != "sid" || !ok {
			t.Fatalf("the cookie is %s=%s, want sid=app7~<ID>", name, value)
		}
		for way, o := range clientOptions() {
			c := a.connect(n, "/", o)
			equal(t, way, call(t, c, "whoami"), `"ann"`)
			c.Close()
		}
		o := nodetest.Options{Cookie: "sid=" + id} // valid for the default parser
		equal(t, "user with the default cookie format", call(t, n.Connect(t, s.url, o), "whoami"), `""`)
	})
}

// C8: any function from the handshake request to an ID can find the session. Here a
// header, the query and a table of API keys, all sent by the official client on every
// transport.
func TestC8_CustomExtractor(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		keys := map[string]string{}
		byKey := fibersession.FromCustom(func(c *fiber.Ctx) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			key, ok := strings.CutPrefix(c.Get("Authorization"), "Bearer ")
			switch {
			case key == "broken":
				return "", errors.New("the key table is unavailable")
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
			t.Fatalf("got the ID %q and cookies %v, want an ID of 43 characters and no cookies", ann, res.Cookies())
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
			for way, with := range clientOptions() {
				with.Header, with.Query, with.Cookie = o.Header, o.Query, o.Cookie
				c := n.Connect(t, s.url, with)
				equal(t, name+" by "+way, call(t, c, "whoami"), `"ann"`)
				c.Close()
			}
		}
		none := n.Connect(t, s.url, nodetest.Options{Header: map[string]string{"Authorization": "Bearer k2"}})
		equal(t, "user with an unknown key", call(t, none, "whoami"), `""`)
		equal(t, "code for an unknown key in a namespace that requires a session", waitForRefusal(t, n.Dial(t, s.url+"/members", nodetest.Options{Header: map[string]string{"Authorization": "Bearer k2"}})), "session_missing")
		n.Dial(t, s.url, nodetest.Options{Header: map[string]string{"Authorization": "Bearer broken"}}).MustNext(nodetest.ConnectError)
		equal(t, "user on the other socket", call(t, none, "whoami"), `""`)
	})
}
