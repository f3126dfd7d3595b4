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

// D2: which values of the user key are user IDs, and how they read as text.
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
		"a string":             {"ann", "ann", nil},
		"a named string":       {account("ann"), "ann", nil},
		"an int":               {42, "42", nil},
		"a negative int":       {int64(-7), "-7", nil},
		"the smallest int64":   {int64(-1 << 63), "-9223372036854775808", nil},
		"the largest uint64":   {uint64(1<<64 - 1), "18446744073709551615", nil},
		"a named integer type": {number(9), "9", nil},
		"the empty string":     {"", "", fibersession.ErrUserID},
		"0":                    {0, "", fibersession.ErrUserID},
		"unsigned 0":           {uint(0), "", fibersession.ErrUserID},
		"nil":                  {nil, "", fibersession.ErrUserID},
		"a float":              {1.5, "", fibersession.ErrUserID},
		"a bool":               {true, "", fibersession.ErrUserID},
		"a byte slice":         {[]byte("ann"), "", fibersession.ErrUserID},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newSession(t, s)
			h.Set("user", tt.value)
			if got := h.User(); got != tt.user {
				t.Errorf("unsaved: got user %q, want %q", got, tt.user)
			}
			must(t, h.Save(ctx))
			if got := handleOf(t, s, h.ID()).User(); got != tt.user {
				t.Errorf("stored: got user %q, want %q", got, tt.user)
			}
			other := storedSession(t, s, nil)
			id := other.ID()
			if err := other.Login(ctx, tt.value); !errors.Is(err, tt.login) {
				t.Errorf("Login: got %v, want %v", err, tt.login)
			}
			if got := other.User(); got != tt.user {
				t.Errorf("after Login: got user %q, want %q", got, tt.user)
			}
			if changed := other.ID() != id; changed != (tt.login == nil) {
				t.Errorf("Login changed the ID: %v, want %v", changed, tt.login == nil)
			}
		})
	}
	if got := strings.Count(log.String(), "neither a string nor an integer"); got != 1 {
		t.Errorf("values that are no user IDs were logged %d times, want once:\n%s", got, log.String())
	}
}

func TestUser_WithoutUserKey(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"user": "ann", "": "bob"})
	id := h.ID()
	if h.User() != "" || s.UserKey != "" {
		t.Errorf("got user %q and UserKey %q, want none", h.User(), s.UserKey)
	}
	_, devices := h.Devices(ctx)
	_, others := h.EndOthers(ctx)
	_, all := s.EndAll(ctx, "ann")
	for name, err := range map[string]error{
		"Login": h.Login(ctx, "ann"), "Logout": h.Logout(ctx), "Devices": devices,
		"EndOthers": others, "EndAll": all, "EndDevice": h.EndDevice(ctx, "x"),
	} {
		if !errors.Is(err, fibersession.ErrUserKey) {
			t.Errorf("%s: got %v, want ErrUserKey", name, err)
		}
	}
	if h.ID() != id {
		t.Error("a failed call changed the session's ID")
	}
}

// In requests, each Login and Logout sets a cookie with the session's new ID. Data under
// other keys stays.
func TestLogin_OverHTTP(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{UserKey: "user"})
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
		t.Errorf("Logout of a visitor without a session: got the cookies %v, want none", res.set)
	}
	b.get("/basket")
	ids := map[string]bool{b.session(): true}
	for _, path := range []string{"/ann", "/logout", "/ann", "/both"} {
		res := b.get(path)
		id := b.session()
		if res.status != 200 || len(res.set) == 0 || ids[id] || len(id) != 43 {
			t.Errorf("%s: got status %d and the cookies %v, want 200 and a new ID", path, res.status, res.set)
		}
		ids[id] = true
		want := map[bool]string{true: "ann"}[path == "/ann"]
		if got := b.get("/").body; got != want {
			t.Errorf("after %s: got user %q, want %q", path, got, want)
		}
	}
	if got := b.get("/count").body; got != "4" {
		t.Errorf("got basket = %s, want 4", got)
	}
	b.get("/set%20and%20out")
	if got := b.get("/").body; got != "" {
		t.Errorf("Set of the user, then Logout: got user %q, want none", got)
	}
	first := newBrowser(t, app) // its first request is a login
	if res := first.get("/ann"); len(res.set) == 0 || first.get("/").body != "ann" {
		t.Errorf("Login in the first request: got the cookies %v, want one and the user ann", res.set)
	}
}

// If any storage call of Login or Logout fails, the old ID is not logged in, a later save
// does not complete the failed call, and a second try succeeds.
func TestLogin_EveryCallMayFail(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{
		"the call fails":     {Fail: errBroken},
		"the answer is lost": {Lose: errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for nth, failed := 1, true; failed; nth++ {
				failed = loginFailsAt(t, nth, fault)
				if nth > 30 {
					t.Fatal("more than 30 storage calls")
				}
				if !failed && nth < 5 {
					t.Errorf("made only %d calls, want at least 4", nth-1)
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
		t.Errorf("call %d was not made: Login got %v, want nil", nth, in)
	}
	if in == nil && h.User() != "ann" {
		t.Errorf("call %d: Login succeeded: got user %q, want ann", nth, h.User())
	}
	node := newStore(t, fibersession.Config{Storage: st, UserKey: "user"}) // has no copy of the session
	if attacker, err := node.GetByID(ctx, planted); err == nil {
		if attacker.User() != "" {
			t.Errorf("call %d: the old ID is logged in", nth)
		}
		attacker.Release()
	}
	unknown := errors.Is(in, fibersession.ErrUnknownOutcome)
	if in != nil && !unknown && h.User() != "" {
		t.Errorf("call %d: Login failed (%v): got user %q, want none", nth, in, h.User())
	}
	if err := h.Reload(ctx); err != nil {
		t.Fatalf("call %d: the session was lost: %v", nth, err)
	}
	if err := h.Login(ctx, "ann"); err != nil || h.User() != "ann" {
		t.Fatalf("call %d: second Login: got %v, want nil", nth, err)
	}
	if all, err := s.Devices(ctx, "ann"); err != nil || len(all) != 1 {
		t.Errorf("call %d: got %d devices, %v; want 1", nth, len(all), err)
	}
	begun = st.Calls()
	st.SetPlan(faulty.OnCall(begun+nth, fault))
	out := h.Logout(ctx)
	failed = failed || st.Calls() >= begun+nth
	st.SetPlan(nil)
	must(t, h.Reload(ctx))
	if out == nil && h.User() != "" {
		t.Errorf("call %d: Logout succeeded: got user %q, want none", nth, h.User())
	}
	if err := h.Logout(ctx); err != nil || h.User() != "" {
		t.Errorf("call %d: second Logout: got %v, want nil", nth, err)
	}
	if all, err := s.Devices(ctx, "ann"); err != nil || len(all) != 0 {
		t.Errorf("call %d: after Logout: got %d devices, %v; want none", nth, len(all), err)
	}
	return failed
}
