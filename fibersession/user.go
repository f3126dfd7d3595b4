package fibersession

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// User returns the ID of the session's user as text: the value of Config.UserKey, or "" if
// there is none. Like Get, it sees unsaved changes of this handle.
func (h *Handle) User() string {
	if h.store.Config.UserKey == "" {
		return ""
	}
	v, _ := h.lookup(h.store.Config.UserKey)
	return h.store.userIn(v)
}

// User returns the ID of the session's user as text: the value of Config.UserKey, or "" if
// there is none. Like Get, it sees unsaved changes of this request.
func (s *Session) User() string {
	h, err := s.load()
	if err != nil {
		return ""
	}
	return h.User()
}

// Login makes the session belong to a user. It first gives the session a new ID, so that an
// attacker who knew or planted the old ID is not logged in too (session fixation, as in
// CVE-2022-25896). Then it sets Config.UserKey to userID and stores it. The data, sockets and
// handles stay; sockets join the user's room at once. userID is a non-empty string or a
// non-zero integer, else Login returns ErrUserID. Without Config.UserKey it returns
// ErrUserKey.
//
// The browser learns the new ID only from a response: see Session.Login. If Login fails
// after the ID changed, the user is not logged in.
func (h *Handle) Login(ctx context.Context, userID any) error {
	if err := h.store.checkUser(userID); err != nil {
		return err
	}
	if err := h.Regenerate(ctx); err != nil {
		return err
	}
	return h.setUser(ctx, userID, h.client)
}

// Login makes the session belong to a user, as Handle.Login does, and writes the cookie. The
// session records the request's user agent and address (see Device).
func (s *Session) Login(userID any) error {
	if s == nil {
		return reportNoHandler()
	}
	if err := s.store.checkUser(userID); err != nil {
		return err
	}
	h, err := s.regenerate()
	if err != nil {
		return err
	}
	// If setUser fails, the browser still gets the new ID: only the login failed.
	err = h.setUser(s.context(), userID, s.client)
	return errors.Join(err, s.sendStored(h))
}

// Logout removes the user from the session and gives the session a new ID. Its other data
// stays. Its sockets stay too, and leave the user's room at once. If the session holds data
// of the user, call Destroy instead. If the session has no user, Logout does nothing.
func (h *Handle) Logout(ctx context.Context) error {
	out, err := h.clearUser(ctx)
	if err != nil || !out {
		return err
	}
	return h.Regenerate(ctx)
}

// Logout removes the user from the session, as Handle.Logout does, and writes the cookie.
func (s *Session) Logout() error {
	h, err := s.loadWritable()
	if err != nil || s.isDestroyed() {
		return err
	}
	out, err := h.clearUser(s.context())
	if err != nil || !out {
		return err
	}
	if h, err = s.regenerate(); err != nil {
		return err
	}
	return s.sendStored(h)
}

// setUser stores only the user. h's unsaved changes are not stored with it, and if setUser
// fails, the user does not stay among them.
func (h *Handle) setUser(ctx context.Context, userID any, client clientInfo) error {
	return h.Update(ctx, func(tx *Tx) error {
		tx.client = client
		key := h.store.Config.UserKey
		tx.Set(key, h.store.withUser(tx.Get(key), userID))
		return nil
	})
}

// clearUser removes the user, and reports whether there was one.
func (h *Handle) clearUser(ctx context.Context) (was bool, err error) {
	key := h.store.Config.UserKey
	if key == "" {
		return false, ErrUserKey
	}
	was = h.User() != ""
	h.discardKeys(changes{key: {}})
	if h.Fresh() {
		return false, nil
	}
	err = h.Update(ctx, func(tx *Tx) error {
		v, _ := tx.lookup(key)
		if v == nil || h.store.userField != "" && h.store.userIn(v) == "" {
			return nil
		}
		was = true
		if rest := h.store.withoutUser(tx.Get(key)); rest != nil {
			tx.Set(key, rest)
		} else {
			tx.Delete(key)
		}
		return nil
	})
	return was, err
}

// loginClient returns the browser of h's request if the changes set the user, else zero.
func (h *Handle) loginClient(ch changes) clientInfo {
	if c, ok := ch[h.store.Config.UserKey]; !ok || c.kind == changeDelete {
		return clientInfo{}
	}
	return h.client
}

func (s *Store) checkUser(v any) error {
	if s.Config.UserKey == "" {
		return ErrUserKey
	}
	if id, ok := userID(v); !ok || id == "" {
		return fmt.Errorf("%w: %T; it must be a non-empty string or a non-zero integer", ErrUserID, v)
	}
	return nil
}

// userIn returns the user in a value of Config.UserKey, or "". It also finds the user in a value
// of a type that this build does not know, if that is made of a string or an integer: else the
// user's sessions would be invisible on this node.
func (s *Store) userIn(v any) string {
	v, ok := codec.Basic(v)
	if !ok {
		return ""
	}
	if m, ok := v.(map[string]any); ok && s.userField != "" {
		v = m[s.userField]
	}
	id, ok := userID(v)
	if !ok {
		s.notices.Report(&userKeyTypeNotice, "", "key", s.Config.UserKey, "type", fmt.Sprintf("%T", v))
	}
	return id
}

// userOf returns the user of a session with these values, or "".
func (s *Store) userOf(values map[string]any) string {
	if s.Config.UserKey == "" {
		return ""
	}
	return s.userIn(values[s.Config.UserKey])
}

// hidesUser reports whether the session may have a user that this build cannot read: only a build
// that knows the value's type can.
func (s *Store) hidesUser(values map[string]any) bool {
	if s.Config.UserKey == "" {
		return false
	}
	_, ok := codec.Basic(values[s.Config.UserKey])
	return !ok
}

// userID returns v as a user's ID. The ID is "" if v stands for no user. The integer 0 does,
// because it is the ID of a record that was not found. ok is false if v cannot be an ID.
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
