package fibersession_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

const day = 24 * time.Hour

// cookieAgeApp has a route for each thing that a handler does with a session's age. With
// save, its handlers save the session themselves, without Handler.
func cookieAgeApp(s *fibersession.Store, save bool) *fiber.App {
	app := fiber.New()
	if !save {
		app.Use(s.Handler())
	}
	for path, do := range map[string]func(sess *fibersession.Session, c *fiber.Ctx) error{
		"/read":      func(sess *fibersession.Session, _ *fiber.Ctx) error { sess.Get("n"); return nil },
		"/write":     func(sess *fibersession.Session, c *fiber.Ctx) error { sess.Set("n", c.Query("n")); return nil },
		"/remember":  func(sess *fibersession.Session, c *fiber.Ctx) error { sess.Remember(c.QueryBool("on")); return nil },
		"/new-id":    func(sess *fibersession.Session, _ *fiber.Ctx) error { return sess.Regenerate() },
		"/destroy":   func(sess *fibersession.Session, _ *fiber.Ctx) error { return sess.Destroy() },
		"/set-limit": func(sess *fibersession.Session, c *fiber.Ctx) error { return setLimit(sess, c) },
		"/login": func(sess *fibersession.Session, c *fiber.Ctx) error {
			sess.Remember(true)
			sess.Set("user", "ada")
			if err := setLimit(sess, c); err != nil {
				return err
			}
			return sess.Regenerate()
		},
		"/again": func(sess *fibersession.Session, c *fiber.Ctx) error {
			if err := sess.Destroy(); err != nil {
				return err
			}
			sess.Remember(c.QueryBool("on"))
			sess.SetExpiry(30 * day)
			sess.Set("n", 1)
			return nil
		},
	} {
		app.Get(path, func(c *fiber.Ctx) error {
			sess, err := s.Get(c)
			if err != nil {
				return err
			}
			if err := do(sess, c); err != nil || !save || path == "/destroy" {
				return err
			}
			return sess.Save()
		})
	}
	return app
}

func setLimit(sess *fibersession.Session, c *fiber.Ctx) error {
	limit, err := time.ParseDuration(c.Query("limit"))
	sess.SetExpiry(limit)
	return err
}

// cookieAge returns the age of the only cookie in a response: 0 is until the browser closes,
// and -1 no cookie at all.
func cookieAge(t *testing.T, res response) time.Duration {
	t.Helper()
	switch {
	case res.status != 200:
		t.Fatalf("got status %d %s", res.status, res.body)
	case len(res.set) > 1:
		t.Fatalf("got the cookies %v, want one at most", res.set)
	case len(res.set) == 0:
		return -1
	}
	return time.Duration(res.set[0].MaxAge) * time.Second
}

// F8: "remember me" is a choice for each session, which its later cookies keep: those of
// another node, of a new ID, of a request that changes something else.
func TestF8_RememberStays(t *testing.T) {
	t.Parallel()
	for name, sessionOnly := range map[string]bool{"the default": false, "CookieSessionOnly": true} {
		for _, on := range []bool{true, false} {
			for _, save := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, Remember(%t), Save %t", name, on, save), func(t *testing.T) {
					t.Parallel()
					_, here, there := twoNodes(t, fibersession.Config{CookieSessionOnly: sessionOnly})
					b := newBrowser(t, cookieAgeApp(here, save))
					want := map[bool]time.Duration{true: 7 * day, false: 0}
					if got := cookieAge(t, b.get("/write")); got != want[!sessionOnly] {
						t.Errorf("before the choice: got %v, want %v", got, want[!sessionOnly])
					}
					if got := cookieAge(t, b.get("/remember?on="+fmt.Sprint(on))); got != want[on] && (save || on == sessionOnly) {
						t.Errorf("the response to the choice: got %v, want %v", got, want[on])
					}
					b.app = cookieAgeApp(there, save)
					for _, path := range []string{"/new-id", "/write?n=2", "/new-id", "/read"} {
						got := cookieAge(t, b.get(path))
						if got != want[on] && (save || path == "/new-id") {
							t.Errorf("%s: got %v, want %v", path, got, want[on])
						}
						if !save && path != "/new-id" && got != -1 {
							t.Errorf("%s: got %v, want no cookie", path, got)
						}
					}
					if got := cookieAge(t, b.get("/remember?on="+fmt.Sprint(!on))); got != want[!on] {
						t.Errorf("the other choice: got %v, want %v", got, want[!on])
					}
					if got := cookieAge(t, b.get("/again?on="+fmt.Sprint(on))); got != map[bool]time.Duration{true: 30 * day, false: 0}[on] {
						t.Errorf("a choice after Destroy: got %v", got)
					}
				})
			}
		}
	}
}

// F8: a cookie lives as long as its session can. SetExpiry makes it longer, also after the
// browser got it, and at a login that sends a new ID before the limit is stored. A shorter
// limit does not shorten it, since a socket can keep the session alive.
func TestF8_MaxAgeFollowsSetExpiry(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg   fibersession.Config
		limit time.Duration
		want  time.Duration
		same  bool // as before SetExpiry
	}{
		"a month":                   {limit: 30 * day, want: 30 * day},
		"two days":                  {limit: 2 * day, want: 7 * day, same: true},
		"the absolute limit":        {cfg: fibersession.Config{Timeouts: fibersession.Timeouts{Absolute: 10 * day}}, limit: 30 * day, want: 10 * day, same: true},
		"no absolute limit":         {cfg: fibersession.Config{Timeouts: fibersession.Timeouts{Absolute: -1}}, limit: 30 * day, want: 400 * day, same: true},
		"longer than browsers keep": {limit: 1000 * day, want: 400 * day},
		"Builtin":                   {cfg: fibersession.Config{Builtin: true}, limit: 30 * day, want: 400 * day, same: true},
		"Express":                   {cfg: expressConfig(fibersession.Config{}), limit: 30 * day, want: 30 * day},
		"Express, a minute":         {cfg: expressConfig(fibersession.Config{}), limit: time.Minute, want: time.Minute}, // as express-session does
	} {
		for _, save := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, Save %t", name, save), func(t *testing.T) {
				t.Parallel()
				cfg := tt.cfg
				b := newBrowser(t, cookieAgeApp(newStore(t, cfg), save))
				b.get("/write")
				want := tt.want
				if tt.same && !save {
					want = -1
				}
				if got := cookieAge(t, b.get("/set-limit?limit="+tt.limit.String())); got != want {
					t.Errorf("SetExpiry: got %v, want %v", got, want)
				}
				cfg.CookieSessionOnly = true
				b = newBrowser(t, cookieAgeApp(newStore(t, cfg), save))
				b.get("/write")
				if got := cookieAge(t, b.get("/login?limit="+tt.limit.String())); got != tt.want {
					t.Errorf("a login with Remember and SetExpiry: got %v, want %v", got, tt.want)
				}
			})
		}
	}
}

// F8: a cookie that ends with the idle limit is sent again when the limit moves: by requests,
// and by sockets of this node since. Others are not.
func TestF8_TheCookieIsRenewed(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg   fibersession.Config
		limit time.Duration
		renew bool
	}{
		"Express":              {cfg: expressConfig(fibersession.Config{}), limit: 2 * day, renew: true},
		"SetExpiry":            {limit: 30 * day},
		"no absolute limit":    {cfg: fibersession.Config{Timeouts: fibersession.Timeouts{Absolute: -1}}, limit: 2 * day},
		"until browsers close": {cfg: fibersession.Config{CookieSessionOnly: true}, limit: 2 * day},
		"the default":          {limit: day},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeClock(t, tt.cfg, func(t *testing.T, s *fibersession.Store) {
				b := newBrowser(t, cookieAgeApp(s, false))
				visit := func(path string) (sent bool) {
					t.Helper()
					return cookieAge(t, b.get(path)) != -1
				}
				visit("/set-limit?limit=" + tt.limit.String())
				if visit("/read") {
					t.Error("a read at the same moment sent the cookie")
				}
				time.Sleep(10 * time.Minute)
				if got := visit("/read"); got != tt.renew {
					t.Errorf("a read later: the cookie was sent: %t, want %t", got, tt.renew)
				}
				// A socket moves the limit, and the next request finds nothing to move.
				h := handleOf(t, s, sessionIDIn(s, b))
				time.Sleep(10 * time.Minute)
				must(t, h.Touch(ctx))
				if got := visit("/read"); got != tt.renew {
					t.Errorf("a read after a socket's packet: the cookie was sent: %t, want %t", got, tt.renew)
				}
				if visit("/read") {
					t.Error("the cookie was sent twice")
				}
				h.Release()
			})
		})
	}
}

// sessionIDIn returns the ID in a browser's cookie.
func sessionIDIn(s *fibersession.Store, b *browser) string {
	if value, ok := b.cookies["connect.sid"]; ok {
		id, _ := s.CookieID("connect.sid", value)
		return id
	}
	return b.session()
}

// F8: with Express, the session's cookie.maxAge holds the choice, so that Express' own cookies
// follow it and the other way round.
func TestF8_RememberWithExpress(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
	app := cookieAgeApp(s, false)
	for _, tt := range []struct {
		path string
		want string // the stored originalMaxAge
		age  time.Duration
	}{
		{"/remember?on=false", "null", 0},
		{"/write?n=1", "null", -1},
		{"/remember?on=true", "86400000", day},
		{"/login?limit=48h", "172800000", 2 * day},
		{"/remember?on=false", "null", 0},
	} {
		b := newBrowser(t, app)
		must(t, st.Set("sess:"+expressID, []byte(`{"cookie":{"originalMaxAge":3600000}}`), time.Hour))
		if tt.path == "/write?n=1" {
			must(t, st.Set("sess:"+expressID, []byte(`{"cookie":{"originalMaxAge":null}}`), time.Hour))
		}
		b.cookies["connect.sid"] = s.CookieValue("connect.sid", expressID)
		if tt.path == "/remember?on=true" {
			must(t, st.Set("sess:"+expressID, []byte(`{"cookie":{"originalMaxAge":null}}`), time.Hour))
		}
		if got := cookieAge(t, b.get(tt.path)); got != tt.age {
			t.Errorf("%s: got a cookie of %v, want %v", tt.path, got, tt.age)
		}
		id, _ := s.CookieID("connect.sid", b.cookies["connect.sid"])
		var cookie map[string]json.RawMessage
		must(t, json.Unmarshal(storedFields(t, st, id)["cookie"], &cookie))
		if got := string(cookie["originalMaxAge"]); got != tt.want {
			t.Errorf("%s: got originalMaxAge %s, want %s", tt.path, got, tt.want)
		}
	}
}

// F8: Chromium keeps a remembered cookie with an expiry, and the other without one.
func TestF8_RememberInTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newStore(t, fibersession.Config{})
	url := "http://" + serve(t, cookieAgeApp(s, false))
	browser := n.Browser(t)
	page := browser.Open(url + "/login?limit=720h")
	for _, tt := range []struct {
		path string
		want time.Duration // 0: a session cookie
	}{{"/read", 30 * day}, {"/remember?on=false", 0}, {"/write?n=2", 0}, {"/remember?on=true", 30 * day}, {"/new-id", 30 * day}} {
		page.Goto(url + tt.path)
		got := browser.Cookies(url)
		if len(got) != 1 {
			t.Fatalf("%s: the browser has the cookies %+v, want one", tt.path, got)
		}
		left := time.Until(time.Unix(int64(got[0].Expires), 0))
		if tt.want == 0 && got[0].Expires != -1 || tt.want > 0 && (left < tt.want-time.Hour || left > tt.want+time.Hour) {
			t.Errorf("%s: the cookie ends in %v (%v), want %v", tt.path, left, got[0].Expires, tt.want)
		}
	}
}
