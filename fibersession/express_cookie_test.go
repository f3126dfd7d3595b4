package fibersession_test

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// The cookies that express-session and browsers may send, and those that nobody made.
func TestN7_ExpressCookieForm(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Express: &fibersession.Express{Secrets: []string{"first", "second"}}})
	own := s.CookieValue("connect.sid", expressID)
	_, sig, _ := strings.Cut(own, ".")
	good := map[string]string{
		"encoded":             own,
		"bare":                "s:" + expressID + "." + strings.NewReplacer("%2B", "+", "%2F", "/").Replace(sig),
		"quoted":              `"` + own + `"`,
		"small letters":       strings.NewReplacer("%3A", "%3a", "%2B", "%2b", "%2F", "%2f").Replace(own),
		"more than is needed": strings.Replace(own, "n", "%6e", 1),
	}
	for name, value := range good { // the cookie's name is no part of it
		if id, ok := s.CookieID("any", value); id != expressID || !ok {
			t.Errorf("%s: %q is %q", name, value, id)
		}
	}
	bad := map[string]string{
		"empty":             "",
		"unsigned":          expressID,
		"no mark":           strings.TrimPrefix(own, "s%3A"),
		"no signature":      "s%3A" + expressID + ".",
		"no dot":            "s%3A" + expressID,
		"no ID":             "s%3A." + sig,
		"padded":            own + "=",
		"padded, encoded":   own + "%3D",
		"base64url":         "s%3A" + expressID + "." + strings.NewReplacer("%2B", "-", "%2F", "_").Replace(sig) + "-",
		"encoded twice":     strings.ReplaceAll(own, "%", "%25"),
		"half an escape":    own + "%2",
		"no UTF-8":          "%ff" + own,
		"another mark":      strings.Replace(own, "s%3A", "j%3A", 1),
		"longer than any":   "s%3A" + strings.Repeat("a", 5000) + "." + sig,
		"another signature": own[:len(own)-1] + string(own[len(own)-1]^1),
	}
	for name, value := range bad {
		if id, ok := s.CookieID("connect.sid", value); ok {
			t.Errorf("%s: %q is %q", name, value, id)
		}
	}
}

// Cookies by Express' own packages are read here, and ours there, byte by byte.
func TestN7_ExpressCookiesOfEitherSide(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for i := range 40 {
		var b [24]byte
		_, _ = rand.Read(b[:])
		id := base64.RawURLEncoding.EncodeToString(b[:])
		secret := []string{expressSecret, "keyboard cat", "naïve ☃ secret", base64.StdEncoding.EncodeToString(b[:])}[i%4]
		s := newStore(t, fibersession.Config{Express: &fibersession.Express{Secrets: []string{secret, "another"}}})
		theirs := n.ExpressSign(t, "connect.sid", id, secret)
		ours := "connect.sid=" + s.CookieValue("connect.sid", id)
		if ours != theirs {
			t.Fatalf("ours is %q, theirs %q", ours, theirs)
		}
		for header, want := range map[string]bool{
			"a=b; " + ours + "; c=d":                           true,
			`connect.sid="` + ours[len("connect.sid="):] + `"`: true,
			strings.ReplaceAll(ours, "%", "%25"):               false,
			ours + "A":                                         false,
			strings.Replace(ours, "s%3A", "", 1):               false,
			n.ExpressSign(t, "connect.sid", id, "neither"):     false,
			n.ExpressSign(t, "connect.sid", id, "another"):     true,
		} {
			theirID, theyTake := n.ExpressUnsign(t, "connect.sid", header, secret, "another")
			var ourID string
			weTake := false
			for _, value := range strings.Split(header, "; ") {
				if name, value, _ := strings.Cut(value, "="); name == "connect.sid" {
					ourID, weTake = s.CookieID(name, value)
				}
			}
			if theyTake != want || weTake != want || ourID != theirID {
				t.Errorf("%s: they say %q, %v, we say %q, %v", header, theirID, theyTake, ourID, weTake)
			}
		}
	}
}

// A cookie is renewed as it was set: one with another path or domain would stand
// beside it. It follows the idle limit, and goes with the session.
func TestN7_ExpressCookieIsRenewedAsItWas(t *testing.T) {
	t.Parallel()
	set := func(res response) *http.Cookie {
		if len(res.set) != 1 {
			t.Fatalf("cookies: %v", res.set)
		}
		return res.set[0]
	}
	for name, tt := range map[string]struct {
		cookie string
		want   http.Cookie
	}{
		"all":       {`{"originalMaxAge":3600000,"path":"/shop","domain":"example.com","sameSite":"strict","secure":true,"partitioned":true}`, http.Cookie{Path: "/shop", Domain: "example.com", SameSite: http.SameSiteStrictMode, MaxAge: 3600, Secure: true, Partitioned: true}},
		"little":    {`{"originalMaxAge":3600000}`, http.Cookie{Path: "/", SameSite: http.SameSiteLaxMode, MaxAge: 3600, Secure: true}},
		"true":      {`{"originalMaxAge":3600000,"sameSite":true}`, http.Cookie{Path: "/", SameSite: http.SameSiteStrictMode, MaxAge: 3600, Secure: true}},
		"none":      {`{"originalMaxAge":3600000,"sameSite":"none"}`, http.Cookie{Path: "/", SameSite: http.SameSiteNoneMode, MaxAge: 3600, Secure: true}},
		"injection": {`{"originalMaxAge":3600000,"path":"/; Domain=evil.example","domain":"a;b\r\nX: y"}`, http.Cookie{Path: "/", SameSite: http.SameSiteLaxMode, MaxAge: 3600, Secure: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			defer func() { _ = st.Close() }()
			s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
			app := newApp(s, map[string]fiber.Handler{
				"/read": func(c *fiber.Ctx) error { fibersession.FromContext(c).Get("x"); return nil },
				"/incr": func(c *fiber.Ctx) error { _, err := fibersession.FromContext(c).Incr("x", 1); return err },
				"/set":  func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("x", 1); return nil },
				"/out":  func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() },
				"/none": func(c *fiber.Ctx) error { return nil },
			})
			for _, path := range []string{"/read", "/incr", "/set", "/out"} {
				must(t, st.Set("sess:"+expressID, []byte(`{"cookie":`+tt.cookie+`}`), time.Hour))
				b := newBrowser(t, app)
				b.cookies["connect.sid"] = s.CookieValue("connect.sid", expressID)
				value := b.cookies["connect.sid"]
				if res := b.get("/none"); len(res.set) != 0 {
					t.Errorf("a request that does not use the session sets %v", res.set)
				}
				got := set(b.get(path))
				if path == "/out" {
					if got.Value != "" || got.Path != tt.want.Path || got.Domain != tt.want.Domain {
						t.Errorf("it is removed by %v", got)
					}
					continue
				}
				if got.Name != "connect.sid" || got.Value != value || got.Path != tt.want.Path || got.Domain != tt.want.Domain ||
					got.SameSite != tt.want.SameSite || got.MaxAge != tt.want.MaxAge || got.Secure != tt.want.Secure || got.Partitioned != tt.want.Partitioned || !got.HttpOnly {
					t.Errorf("%s: %v", path, got)
				}
			}
		})
	}

	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
	must(t, st.Set("sess:"+expressID, []byte(`{"cookie":{"originalMaxAge":null}}`), time.Hour))
	b := newBrowser(t, userApp(s))
	b.cookies["connect.sid"] = s.CookieValue("connect.sid", expressID)
	if res := b.get("/in"); len(res.set) != 0 {
		t.Errorf("a cookie that goes with the browser is set again: %v", res.set)
	}
}
