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

// The forms of a valid cookie that express-session or a browser may send are accepted.
// Forms that neither of them makes are rejected.
func TestN7_ExpressCookieForm(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Express: &fibersession.Express{Secrets: []string{"first", "second"}}})
	own := s.CookieValue("connect.sid", expressID)
	_, sig, _ := strings.Cut(own, ".")
	good := map[string]string{
		"encoded":                  own,
		"bare":                     "s:" + expressID + "." + strings.NewReplacer("%2B", "+", "%2F", "/").Replace(sig),
		"quoted":                   `"` + own + `"`,
		"lower-case escapes":       strings.NewReplacer("%3A", "%3a", "%2B", "%2b", "%2F", "%2f").Replace(own),
		"more escapes than needed": strings.Replace(own, "n", "%6e", 1),
	}
	for name, value := range good { // express-session does not sign the cookie's name
		if id, ok := s.CookieID("any", value); id != expressID || !ok {
			t.Errorf("%s: CookieID(%q) got %q, want the session's ID", name, value, id)
		}
	}
	bad := map[string]string{
		"empty":               "",
		"unsigned":            expressID,
		"without the mark s:": strings.TrimPrefix(own, "s%3A"),
		"no signature":        "s%3A" + expressID + ".",
		"no dot":              "s%3A" + expressID,
		"no ID":               "s%3A." + sig,
		"padded":              own + "=",
		"padded and escaped":  own + "%3D",
		"base64url":           "s%3A" + expressID + "." + strings.NewReplacer("%2B", "-", "%2F", "_").Replace(sig) + "-",
		"encoded twice":       strings.ReplaceAll(own, "%", "%25"),
		"a truncated escape":  own + "%2",
		"invalid UTF-8":       "%ff" + own,
		"another mark":        strings.Replace(own, "s%3A", "j%3A", 1),
		"too long":            "s%3A" + strings.Repeat("a", 5000) + "." + sig,
		"another signature":   own[:len(own)-1] + string(own[len(own)-1]^1),
	}
	for name, value := range bad {
		if id, ok := s.CookieID("connect.sid", value); ok {
			t.Errorf("%s: CookieID(%q) got %q, want it rejected", name, value, id)
		}
	}
}

// Cookies signed by Express' own packages are accepted here, ours are accepted there, and
// both sides write the same bytes.
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
			t.Fatalf("got the cookie %q, want that of Express: %q", ours, theirs)
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

// A renewed cookie has the attributes that the session stores: with another path or domain
// it would be a second cookie. Its age follows the idle limit, and Destroy removes it.
func TestN7_ExpressCookieIsRenewedAsItWas(t *testing.T) {
	t.Parallel()
	set := func(res response) *http.Cookie {
		if len(res.set) != 1 {
			t.Fatalf("got the cookies %v, want 1", res.set)
		}
		return res.set[0]
	}
	for name, tt := range map[string]struct {
		cookie string
		want   http.Cookie
	}{
		"all attributes":      {`{"originalMaxAge":3600000,"path":"/shop","domain":"example.com","sameSite":"strict","secure":true,"partitioned":true}`, http.Cookie{Path: "/shop", Domain: "example.com", SameSite: http.SameSiteStrictMode, MaxAge: 3600, Secure: true, Partitioned: true}},
		"only an age":         {`{"originalMaxAge":3600000}`, http.Cookie{Path: "/", SameSite: http.SameSiteLaxMode, MaxAge: 3600, Secure: true}},
		"sameSite true":       {`{"originalMaxAge":3600000,"sameSite":true}`, http.Cookie{Path: "/", SameSite: http.SameSiteStrictMode, MaxAge: 3600, Secure: true}},
		"sameSite none":       {`{"originalMaxAge":3600000,"sameSite":"none"}`, http.Cookie{Path: "/", SameSite: http.SameSiteNoneMode, MaxAge: 3600, Secure: true}},
		"injected attributes": {`{"originalMaxAge":3600000,"path":"/; Domain=evil.example","domain":"a;b\r\nX: y"}`, http.Cookie{Path: "/", SameSite: http.SameSiteLaxMode, MaxAge: 3600, Secure: true}},
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
					t.Errorf("a request that does not use the session: got the cookies %v, want none", res.set)
				}
				got := set(b.get(path))
				if path == "/out" {
					if got.Value != "" || got.Path != tt.want.Path || got.Domain != tt.want.Domain {
						t.Errorf("Destroy: got the cookie %v, want an empty one with the same path and domain", got)
					}
					continue
				}
				if got.Name != "connect.sid" || got.Value != value || got.Path != tt.want.Path || got.Domain != tt.want.Domain ||
					got.SameSite != tt.want.SameSite || got.MaxAge != tt.want.MaxAge || got.Secure != tt.want.Secure || got.Partitioned != tt.want.Partitioned || !got.HttpOnly {
					t.Errorf("%s: got the cookie %v, want the attributes %+v", path, got, tt.want)
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
		t.Errorf("a cookie without an age was renewed: got %v, want none", res.set)
	}
}
