package fibersession_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

type account string

type number uint16

// D2: what the user key may hold, and who that is.
func TestD2_UserOfASession(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newStore(t, fibersession.Config{UserKey: "user", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, v := range []any{account(""), number(0)} {
		s.RegisterType(v)
	}
	tests := map[string]struct {
		value any
		user  string
		login error
	}{
		"a string":         {"ann", "ann", nil},
		"a named string":   {account("ann"), "ann", nil},
		"an int":           {42, "42", nil},
		"a negative one":   {int64(-7), "-7", nil},
		"the smallest":     {int64(-1 << 63), "-9223372036854775808", nil},
		"the largest":      {uint64(1<<64 - 1), "18446744073709551615", nil},
		"a named number":   {number(9), "9", nil},
		"an empty string":  {"", "", fibersession.ErrUserID},
		"the number 0":     {0, "", fibersession.ErrUserID},
		"the unsigned 0":   {uint(0), "", fibersession.ErrUserID},
		"nil":              {nil, "", fibersession.ErrUserID},
		"a float":          {1.5, "", fibersession.ErrUserID},
		"a bool":           {true, "", fibersession.ErrUserID},
		"a slice of bytes": {[]byte("ann"), "", fibersession.ErrUserID},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newSession(t, s)
			h.Set("user", tt.value)
			if got := h.User(); got != tt.user {
				t.Errorf("unsaved: the user is %q, want %q", got, tt.user)
			}
			must(t, h.Save(ctx))
			if got := handleOf(t, s, h.ID()).User(); got != tt.user {
				t.Errorf("stored: the user is %q, want %q", got, tt.user)
			}
			other := storedSession(t, s, nil)
			id := other.ID()
			if err := other.Login(ctx, tt.value); !errors.Is(err, tt.login) {
				t.Errorf("Login: %v, want %v", err, tt.login)
			}
			if got := other.User(); got != tt.user {
				t.Errorf("after Login the user is %q", got)
			}
			if changed := other.ID() != id; changed != (tt.login == nil) {
				t.Errorf("Login gave a new ID: %v", changed)
			}
		})
	}
	if got := strings.Count(log.String(), "neither a string nor an integer"); got != 1 {
		t.Errorf("values that are no IDs were logged %d times:\n%s", got, log.String())
	}
}

func TestUser_WithoutAKey(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"user": "ann", "": "bob"})
	id := h.ID()
	if h.User() != "" || s.UserKey() != "" {
		t.Errorf("the user is %q", h.User())
	}
	_, devices := h.Devices(ctx)
	_, others := h.EndOthers(ctx)
	_, all := s.EndAll(ctx, "ann")
	for name, err := range map[string]error{
		"Login": h.Login(ctx, "ann"), "Logout": h.Logout(ctx), "Devices": devices,
		"EndOthers": others, "EndAll": all, "EndDevice": h.EndDevice(ctx, "x"),
	} {
		if !errors.Is(err, fibersession.ErrUserKey) {
			t.Errorf("%s: %v, want ErrUserKey", name, err)
		}
	}
	if h.ID() != id {
		t.Error("something gave a new ID")
	}
}

// Over HTTP: each login and each logout writes one cookie, with the session's newest
// ID, whatever the visitor had before; data that is not the user's stays.
func TestLogin_OverHTTP(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}, UserKey: "user"})
	handle := func(do func(f *fibersession.Session) error) fiber.Handler {
		return func(c *fiber.Ctx) error { return do(fibersession.FromContext(c)) }
	}
	app := newApp(s, map[string]fiber.Handler{
		"/":       func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) },
		"/basket": handle(func(f *fibersession.Session) error { f.Set("basket", 3); return nil }),
		"/count": func(c *fiber.Ctx) error {
			return c.SendString(fmt.Sprint(fibersession.FromContext(c).Get("basket")))
		},
		"/ann":    handle(func(f *fibersession.Session) error { return f.Login("ann") }),
		"/logout": handle(func(f *fibersession.Session) error { return f.Logout() }),
		"/both": handle(func(f *fibersession.Session) error {
			f.Set("basket", 4)
			if err := f.Login("ann"); err != nil {
				return err
			}
			return f.Logout()
		}),
		"/set and out": handle(func(f *fibersession.Session) error { f.Set("user", "eve"); return f.Logout() }),
	})
	b := newBrowser(t, app)
	if res := b.get("/logout"); len(res.set) != 0 {
		t.Errorf("the logout of a visitor writes %v", res.set)
	}
	b.get("/basket")
	ids := map[string]bool{b.session(): true}
	for _, path := range []string{"/ann", "/logout", "/ann", "/both"} {
		res := b.get(path)
		id := b.session()
		if res.status != 200 || len(res.set) == 0 || ids[id] || len(id) != 43 {
			t.Errorf("%s: %d, cookies %v", path, res.status, res.set)
		}
		ids[id] = true
		want := map[bool]string{true: "ann"}[path == "/ann"]
		if got := b.get("/").body; got != want {
			t.Errorf("after %s: %q", path, got)
		}
	}
	if got := b.get("/count").body; got != "4" {
		t.Errorf("the basket holds %s", got)
	}
	b.get("/set%20and%20out")
	if got := b.get("/").body; got != "" {
		t.Errorf("an unsaved login outlived the logout: %q", got)
	}
	first := newBrowser(t, app) // login is the first that it does
	if res := first.get("/ann"); len(res.set) == 0 || first.get("/").body != "ann" {
		t.Errorf("login as the first request: cookies %v", res.set)
	}
}

// Whichever call of the store fails during a login or a logout: who holds the old ID
// is never logged in by it, what failed is not done by a later save, and the next try
// succeeds.
func TestLogin_EveryCallMayFail(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{
		"refused": {Fail: errBroken},
		"lost":    {Lose: errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for nth, failed := 1, true; failed; nth++ {
				failed = loginFailsAt(t, nth, fault)
				if nth > 30 {
					t.Fatal("there is no end of it")
				}
				if !failed && nth < 5 {
					t.Errorf("only %d calls: this test tests nothing", nth-1)
				}
			}
		})
	}
}

func loginFailsAt(t *testing.T, nth int, fault faulty.Fault) (failed bool) {
	t.Helper()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
	h := storedSession(t, s, map[string]any{"basket": 1})
	defer h.Release()
	planted := h.ID()
	begun := st.Calls()
	st.SetPlan(faulty.OnCall(begun+nth, fault))
	in := h.Login(ctx, "ann")
	failed = st.Calls() >= begun+nth
	st.SetPlan(nil)
	if in != nil && !failed {
		t.Errorf("call %d: Login fails without a reason: %v", nth, in)
	}
	if in == nil && h.User() != "ann" {
		t.Errorf("call %d: Login succeeded, and the user is %q", nth, h.User())
	}
	node := newStore(t, fibersession.Config{Storage: st, UserKey: "user"}) // knows nothing but the store
	if thief, err := node.GetByID(ctx, planted); err == nil {
		if thief.User() != "" {
			t.Errorf("call %d: the old ID is logged in", nth)
		}
		thief.Release()
	}
	unknown := errors.Is(in, fibersession.ErrUnknownOutcome)
	if in != nil && !unknown && h.User() != "" {
		t.Errorf("call %d: Login failed (%v), and the user is %q", nth, in, h.User())
	}
	if err := h.Reload(ctx); err != nil {
		t.Fatalf("call %d: the session is lost: %v", nth, err)
	}
	if err := h.Login(ctx, "ann"); err != nil || h.User() != "ann" {
		t.Fatalf("call %d: the next Login: %v", nth, err)
	}
	if all, err := s.Devices(ctx, "ann"); err != nil || len(all) != 1 {
		t.Errorf("call %d: %d devices, %v", nth, len(all), err)
	}
	begun = st.Calls()
	st.SetPlan(faulty.OnCall(begun+nth, fault))
	out := h.Logout(ctx)
	failed = failed || st.Calls() >= begun+nth
	st.SetPlan(nil)
	must(t, h.Reload(ctx))
	if out == nil && h.User() != "" {
		t.Errorf("call %d: Logout succeeded, and the user is %q", nth, h.User())
	}
	if err := h.Logout(ctx); err != nil || h.User() != "" {
		t.Errorf("call %d: the next Logout: %v", nth, err)
	}
	if all, err := s.Devices(ctx, "ann"); err != nil || len(all) != 0 {
		t.Errorf("call %d: after it %d devices, %v", nth, len(all), err)
	}
	return failed
}
