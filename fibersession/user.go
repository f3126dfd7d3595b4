package fibersession

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
)

// User returns the ID of the session's user as text: the value of Config.UserKey,
// or "" when there is none. Like Get it sees what this handle set last.
func (h *Handle) User() string {
	if h.store.cfg.UserKey == "" {
		return ""
	}
	return h.store.user(h.Get(h.store.cfg.UserKey))
}

// User returns the ID of the session's user as text: the value of Config.UserKey,
// or "" when there is none. Like Get it sees what this request set last.
func (s *Session) User() string {
	h, err := s.load()
	if err != nil {
		return ""
	}
	return h.User()
}

// Login makes the session that of a user: it gets a new ID first, so that nobody
// who knew or planted the old one is logged in too (session fixation; as
// CVE-2022-25896), and then Config.UserKey is set to userID and stored. Data, sockets and
// handles stay; sockets join the user's room at once. UserID is a string that is not
// empty, or an integer that is not 0, else ErrUserID.
//
// The browser learns the new ID only from a response: see Session.Login. When it
// fails after the new ID was given, the user is not logged in.
func (h *Handle) Login(ctx context.Context, userID any) error {
	if err := h.store.checkUser(userID); err != nil {
		return err
	}
	if err := h.Regenerate(ctx); err != nil {
		return err
	}
	return h.setUser(ctx, userID, h.device)
}

// Login is Handle.Login, and writes the cookie. The session remembers the request's
// browser and address (see Device).
func (s *Session) Login(userID any) error {
	if err := s.store.checkUser(userID); err != nil {
		return err
	}
	if err := s.Regenerate(); err != nil {
		return err
	}
	h, err := s.open()
	if err != nil {
		return err
	}
	if err := h.setUser(context.Background(), userID, s.device); err != nil {
		return err
	}
	return s.sendStored(h)
}

// Logout takes the user out of the session, and gives it a new ID. All else stays:
// its other data, and its sockets, which leave the user's room at once. When the
// session holds what is the user's own, Destroy it instead. Without a user it does
// nothing.
func (h *Handle) Logout(ctx context.Context) error {
	out, err := h.clearUser(ctx)
	if err != nil || !out {
		return err
	}
	return h.Regenerate(ctx)
}

// Logout is Handle.Logout, and writes the cookie.
func (s *Session) Logout() error {
	h, err := s.open()
	if err != nil {
		return err
	}
	out, err := h.clearUser(context.Background())
	if err != nil || !out {
		return err
	}
	return s.Regenerate()
}

// setUser stores the user alone: h's unsaved changes neither go along nor, when it
// fails, does the user stay among them to be saved later.
func (h *Handle) setUser(ctx context.Context, userID any, d device) error {
	return h.Update(ctx, func(tx *Tx) error {
		tx.device = d
		key := h.store.cfg.UserKey
		tx.Set(key, h.store.withUser(tx.Get(key), userID))
		return nil
	})
}

// clearUser removes the user, and says whether there was one.
func (h *Handle) clearUser(ctx context.Context) (was bool, err error) {
	key := h.store.cfg.UserKey
	if key == "" {
		return false, ErrUserKey
	}
	was = h.User() != ""
	h.discardKeys(changes{key: {}})
	if h.Fresh() {
		return false, nil
	}
	err = h.Update(ctx, func(tx *Tx) error {
		v := tx.Get(key)
		if v == nil || h.store.passport() && h.store.user(v) == "" {
			return nil
		}
		was = true
		if rest := h.store.withoutUser(v); rest != nil {
			tx.Set(key, rest)
		} else {
			tx.Delete(key)
		}
		return nil
	})
	return was, err
}

// loginDevice is the device of h's request if the changes are a login.
func (h *Handle) loginDevice(ch changes) device {
	if c, ok := ch[h.store.cfg.UserKey]; !ok || c.kind == changeDelete {
		return device{}
	}
	return h.device
}

func (s *Store) checkUser(v any) error {
	if s.cfg.UserKey == "" {
		return ErrUserKey
	}
	if id, ok := userID(v); !ok || id == "" {
		return fmt.Errorf("%w: %T; it is a string that is not empty, or an integer that is not 0", ErrUserID, v)
	}
	return nil
}

// user returns the user that a value of the user key names, or "".
func (s *Store) user(v any) string {
	if m, ok := v.(map[string]any); ok && s.passport() {
		v = m[passportUser]
	}
	id, ok := userID(v)
	if !ok {
		s.warnUser.Do(func() {
			s.log.Error("fibersession: the value of Config.UserKey is neither a string nor an integer: such sessions have no user",
				"key", s.cfg.UserKey, "type", fmt.Sprintf("%T", v))
		})
	}
	return id
}

// userOf returns the user of stored values, or "".
func (s *Store) userOf(values map[string]any) string {
	if s.cfg.UserKey == "" {
		return ""
	}
	return s.user(values[s.cfg.UserKey])
}

// userID returns v as a user's ID. It is "" for nobody; ok is false for what can be
// no ID at all. The integer 0 is nobody: it is what a user that was not found has.
func userID(v any) (id string, ok bool) {
	if v == nil {
		return "", true
	}
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.String:
		return r.String(), true
	case r.CanInt():
		if r.Int() == 0 {
			return "", true
		}
		return strconv.FormatInt(r.Int(), 10), true
	case r.CanUint():
		if r.Uint() == 0 {
			return "", true
		}
		return strconv.FormatUint(r.Uint(), 10), true
	}
	return "", false
}
