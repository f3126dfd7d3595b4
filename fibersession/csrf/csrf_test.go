package csrf_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/fibersession/csrf"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// site returns an app whose "/" responds with the token.
func site(t *testing.T, sessions fibersession.Config, cfg ...csrf.Config) *fiber.App {
	t.Helper()
	if sessions.Storage == nil {
		st := memory.New()
		t.Cleanup(func() { _ = st.Close() })
		sessions.Storage = st
	}
	sessions.Logger, sessions.UserKey = slog.New(slog.DiscardHandler), "user"
	if sessions.Builtin || sessions.Express != nil {
		sessions.UserKey = ""
	}
	s := fibersession.New(sessions)
	t.Cleanup(func() { _ = s.Close() })
	app := fiber.New()
	app.Use(s.Handler(), csrf.New(cfg...))
	app.Get("/", func(c *fiber.Ctx) error {
		token, err := csrf.Token(c)
		if err != nil {
			return err
		}
		return c.SendString(token)
	})
	app.All("/do", func(c *fiber.Ctx) error { return c.SendString("done") })
	app.Post("/login", func(c *fiber.Ctx) error {
		if sessions.UserKey == "" {
			return fibersession.FromContext(c).Regenerate()
		}
		return fibersession.FromContext(c).Login("ann")
	})
	app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	return app
}

// visitor is a client with cookies. Its requests go to the app without a network.
type visitor struct {
	t   *testing.T
	app *fiber.App
	jar http.CookieJar
}

func newVisitor(t *testing.T, app *fiber.App) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, app, jar}
}

func (v *visitor) request(method, path string, form url.Values, headers ...string) (status int, body string) {
	v.t.Helper()
	at := &url.URL{Scheme: "https", Host: "example.com", Path: "/"}
	req := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	for _, c := range v.jar.Cookies(at) {
		req.AddCookie(c)
	}
	res, err := v.app.Test(req, -1)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.jar.SetCookies(at, res.Cookies())
	return res.StatusCode, string(data)
}

func (v *visitor) token() string {
	v.t.Helper()
	status, token := v.request("GET", "/", nil)
	if status != 200 || len(token) != 43 {
		v.t.Fatalf("got %d %q, want a token of 43 characters", status, token)
	}
	return token
}

func form(token string) url.Values { return url.Values{"csrf": {token}} }

func TestF4_Token(t *testing.T) {
	t.Parallel()
	for name, sessions := range map[string]fibersession.Config{
		"sealed":  {},
		"builtin": {Builtin: true},
		"express": {Express: &fibersession.Express{Secrets: []string{strings.Repeat("s", 32)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := site(t, sessions)
			ann, bob := newVisitor(t, app), newVisitor(t, app)
			token, bobs := ann.token(), bob.token()
			if again := ann.token(); again != token {
				t.Error("a second form has another token")
			}
			for what, c := range map[string]struct {
				form    url.Values
				headers []string
				status  int
			}{
				"no token":                           {nil, nil, 403},
				"an empty token":                     {form(""), nil, 403},
				"another visitor's token":            {form(bobs), nil, 403},
				"a shortened token":                  {form(token[:42]), nil, 403},
				"another field":                      {url.Values{"token": {token}}, nil, 403},
				"the token":                          {form(token), nil, 200},
				"the token in the header":            {nil, []string{"X-Csrf-Token", token}, 200},
				"another visitor's in the header":    {form(token), []string{"X-Csrf-Token", bobs}, 403},
				"the token in the header, none else": {form("x"), []string{"X-Csrf-Token", token}, 200},
			} {
				for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
					if status, _ := ann.request(method, "/do", c.form, c.headers...); status != c.status {
						t.Errorf("%s with %s: got status %d, want %d", method, what, status, c.status)
					}
				}
			}
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				if status, _ := ann.request(method, "/do", nil); status != 200 {
					t.Errorf("%s: got status %d, want 200", method, status)
				}
			}
			if status, _ := newVisitor(t, app).request("POST", "/do", form(token)); status != 403 {
				t.Errorf("a visitor without a session: got status %d, want 403", status)
			}
			if status, _ := ann.request("POST", "/login", form(token)); status != 200 {
				t.Fatalf("login: got status %d, want 200", status)
			}
			if status, _ := ann.request("POST", "/do", form(token)); status != 403 {
				t.Errorf("the token from before the login: got status %d, want 403", status)
			}
			token = ann.token()
			if status, _ := ann.request("POST", "/logout", form(token)); status != 200 {
				t.Errorf("logout: got status %d, want 200", status)
			}
			if status, _ := ann.request("POST", "/do", form(token)); status != 403 {
				t.Errorf("the token of an ended session: got status %d, want 403", status)
			}
		})
	}
}

func TestF4_Config(t *testing.T) {
	t.Parallel()
	app := site(t, fibersession.Config{}, csrf.Config{
		Field: "f", Header: "H", Next: func(c *fiber.Ctx) bool { return c.Query("next") != "" },
		ErrorHandler: func(c *fiber.Ctx, err error) error {
			return c.Status(418).SendString(fmt.Sprint(errors.Is(err, csrf.ErrToken)))
		},
	})
	v := newVisitor(t, app)
	token := v.token()
	for _, c := range []struct {
		path, field, header string
		status              int
	}{{"/do", token, "", 200}, {"/do", "", token, 200}, {"/do", "", "", 418}, {"/do?next=1", "", "", 200}} {
		headers := []string{"H", c.header}
		status, body := v.request("POST", c.path, url.Values{"f": {c.field}}, headers...)
		if status != c.status || status == 418 && body != "true" {
			t.Errorf("%+v: got %d %q", c, status, body)
		}
	}
}

// A failure of the storage is not reported as a forged form.
func TestF4_StorageFails(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	t.Cleanup(func() { _ = st.Close() })
	app := site(t, fibersession.Config{Storage: st})
	app.Post("/transfer", func(*fiber.Ctx) error { t.Error("a handler ran without a check of the token"); return nil })
	v := newVisitor(t, app)
	token := v.token()
	st.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Fail: errors.New("broken")} })
	for _, method := range []string{"POST", "GET"} {
		path := map[string]string{"POST": "/transfer", "GET": "/"}[method]
		if status, _ := v.request(method, path, form(token)); status != 503 {
			t.Errorf("%s: got status %d, want 503", method, status)
		}
	}
}

func TestF4_NoHandler(t *testing.T) {
	t.Parallel()
	app := fiber.New(fiber.Config{ErrorHandler: func(c *fiber.Ctx, err error) error {
		return c.Status(500).SendString(fmt.Sprint(errors.Is(err, fibersession.ErrNoHandler)))
	}})
	app.Use(csrf.New())
	app.Get("/", func(c *fiber.Ctx) error { _, err := csrf.Token(c); return err })
	for _, method := range []string{"GET", "POST"} {
		if status, body := newVisitor(t, app).request(method, "/", nil); status != 500 || body != "true" {
			t.Errorf("%s: got %d %q, want 500 and ErrNoHandler", method, status, body)
		}
	}
}
