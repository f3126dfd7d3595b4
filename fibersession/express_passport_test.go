package fibersession_test

import (
	"errors"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// Passport keeps the user's ID in the field "user" of the value under "passport". The other
// fields of that value stay.
func TestN7_ExpressPassport(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, expressConfig(fibersession.Config{Storage: st, UserKey: "passport"}))
	h := expressSession(t, s, st, `{"cookie":{},"passport":{"user":7,"more":true}}`)
	if got := h.User(); got != "7" {
		t.Errorf("got user %q, want \"7\"", got)
	}
	must(t, h.Logout(ctx))
	if got := string(storedFields(t, st, h.ID())["passport"]); got != `{"more":true}` || h.User() != "" {
		t.Errorf("after Logout: got passport = %s, want {\"more\":true} and no user", got)
	}
	id := h.ID()
	must(t, h.Logout(ctx))
	if h.ID() != id {
		t.Error("Logout without a user changed the ID")
	}
	must(t, h.Login(ctx, "ada"))
	if got := string(storedFields(t, st, h.ID())["passport"]); got != `{"more":true,"user":"ada"}` || h.User() != "ada" || h.ID() == id {
		t.Errorf("after Login: got passport = %s, want {\"more\":true,\"user\":\"ada\"} and a new ID", got)
	}
	none := storedSession(t, s, map[string]any{"n": 1})
	must(t, none.Login(ctx, 5))
	if got := string(storedFields(t, st, none.ID())["passport"]); got != `{"user":5}` || none.User() != "5" {
		t.Errorf("after a first Login: got passport = %s, want {\"user\":5}", got)
	}
	if _, err := s.Devices(ctx, "5"); !errors.Is(err, fibersession.ErrNoIndex) {
		t.Errorf("Devices: got %v, want ErrNoIndex", err)
	}
}
