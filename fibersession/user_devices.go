package fibersession

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/clientaddr"
)

// Device describes one of a user's sessions, for a list that is shown to the user.
type Device struct {
	// ID identifies the session in lists and for EndDevice. It is a pseudonym: it gives
	// no access, and it stays the same when the session gets a new ID.
	ID string
	// UserAgent is the request's User-Agent header and Address the client's IP address
	// when the session began or its user logged in. Behind trusted proxies that is the
	// rightmost address in fiber.Config.ProxyHeader that is not a proxy's. UserAgent has
	// at most 256 bytes and no control characters. It is input: escape it.
	UserAgent string
	Address   string
	// Created is when the session was first stored. LastSeen is when it was last used,
	// to the precision of Config.Timeouts.TouchInterval. Expires is when it ends if it is
	// not used again.
	Created  time.Time
	LastSeen time.Time
	Expires  time.Time
	// Current reports whether this is the session that the list was read through.
	Current bool
	// LogName is the pseudonym by which the log names the session (LogLabel).
	LogName string `json:"-"`
}

// deviceLabel is the label of the pseudonyms in Device.ID.
const deviceLabel = "device"

// Devices returns the user's sessions on all nodes, most recently used first. It returns
// ErrUserKey without Config.UserKey, and ErrNoIndex if the storage is no storage.Index. Each
// session costs one read of the storage. Entries whose sessions have ended are removed from
// the index. To have Device.Current set, call Devices of a Session or Handle.
func (s *Store) Devices(ctx context.Context, user string) ([]Device, error) {
	s.start()
	return s.listDevices(ctx, user, nil)
}

// Devices returns the sessions of this session's user (see Store.Devices). It returns none
// if the session has no user.
func (h *Handle) Devices(ctx context.Context) ([]Device, error) {
	if err := h.Err(); err != nil {
		return nil, err
	}
	return h.store.listDevices(ctx, h.store.userOf(h.values()), h)
}

// Devices returns the sessions of this session's user (see Store.Devices). It returns none
// if the session has no user.
func (s *Session) Devices() ([]Device, error) {
	h, err := s.load()
	if err != nil {
		return nil, err
	}
	return h.Devices(s.context())
}

// EndDevice ends the user's session with that Device.ID, on any node. The session's sockets
// on this node are disconnected before EndDevice returns. It returns ErrNotFound if the user
// has no such session.
func (s *Store) EndDevice(ctx context.Context, user, id string) error {
	s.start()
	found := false
	_, err := s.endWhere(ctx, user, func(h *Handle) bool {
		mine := h != nil && h.Pseudonym(deviceLabel) == id
		found = found || mine
		return mine
	})
	if err == nil && !found {
		return ErrNotFound
	}
	return err
}

// EndAll logs the user out everywhere: it ends all of the user's sessions and returns how
// many it ended. Their sockets on this node are disconnected before it returns. It also
// removes sessions of the user that cannot be decoded, such as those of another version or
// codec, and makes sure that no old session of the user is taken over later (see OldLogins;
// they are not counted). If it fails, some sessions may still exist: call it again.
func (s *Store) EndAll(ctx context.Context, user string) (int, error) {
	s.start()
	if err := s.revokeOldLogins(ctx, user); err != nil {
		return 0, err
	}
	return s.endWhere(ctx, user, func(*Handle) bool { return true })
}

// EndOthers ends all other sessions of this session's user and returns how many it ended
// (see Store.EndAll).
func (h *Handle) EndOthers(ctx context.Context) (int, error) {
	if err := h.Err(); err != nil {
		return 0, err
	}
	mine := h.Pseudonym(deviceLabel)
	if mine == "" {
		return 0, ErrReleased // by a concurrent call
	}
	user := h.store.userOf(h.values())
	if err := h.store.revokeOldLogins(ctx, user); err != nil {
		return 0, err
	}
	return h.store.endWhere(ctx, user, func(other *Handle) bool {
		return other == nil || other.Pseudonym(deviceLabel) != mine
	})
}

// EndDevice ends the session of this session's user with that Device.ID (see
// Store.EndDevice).
func (h *Handle) EndDevice(ctx context.Context, id string) error {
	if err := h.Err(); err != nil {
		return err
	}
	return h.store.EndDevice(ctx, h.store.userOf(h.values()), id)
}

// EndOthers ends all other sessions of this session's user and returns how many it ended
// (see Store.EndAll).
func (s *Session) EndOthers() (int, error) {
	h, err := s.load()
	if err != nil {
		return 0, err
	}
	return h.EndOthers(s.context())
}

// EndDevice ends the session of this session's user with that Device.ID (see
// Store.EndDevice).
func (s *Session) EndDevice(id string) error {
	h, err := s.load()
	if err != nil {
		return err
	}
	return h.EndDevice(s.context(), id)
}

func (s *Store) listDevices(ctx context.Context, user string, asking *Handle) ([]Device, error) {
	var all []Device
	_, err := s.visitSessions(ctx, user, func(h *Handle, _ place) error {
		if h == nil {
			return nil // this node cannot decode it
		}
		cur, err := h.current()
		if err != nil {
			return nil // it has ended in the meantime
		}
		d := Device{
			ID:        h.Pseudonym(deviceLabel),
			UserAgent: cur.client.userAgent,
			Address:   cur.client.address,
			Created:   cur.created,
			LastSeen:  cur.expiry.Add(-cur.idle),
			Expires:   cur.deadline(),
			LogName:   h.Pseudonym(LogLabel),
		}
		d.Current = asking != nil && d.ID == asking.Pseudonym(deviceLabel)
		if !slices.ContainsFunc(all, func(o Device) bool { return o.ID == d.ID }) { // a session whose ID changes meanwhile can be visited twice
			all = append(all, d)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Device) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// maxPasses bounds how often endWhere reads the index.
const maxPasses = 16

// endWhere ends those sessions of a user for which end returns true. The handle is nil for
// a session that cannot be decoded. A session whose ID changes while the index is read may
// be missed under both IDs, so endWhere reads the index until it finds no stale entry and
// nothing to end.
func (s *Store) endWhere(ctx context.Context, user string, end func(*Handle) bool) (ended int, err error) {
	for range maxPasses {
		var failed []error
		before := ended
		stale, err := s.visitSessions(ctx, user, func(h *Handle, at place) error {
			if !end(h) {
				return nil
			}
			var err error
			if h != nil {
				err = h.Destroy(ctx)
			} else {
				err = s.deleteUndecodable(ctx, user, at)
			}
			if err != nil {
				failed = append(failed, err) // and go on with the others
				return nil
			}
			ended++
			return nil
		})
		if err = errors.Join(append(failed, err)...); err != nil {
			return ended, err
		}
		if stale == 0 && ended == before {
			break
		}
	}
	return ended, nil
}

// visitSessions calls visit for each of the user's sessions, as the storage has it now. The
// handle is nil for a session that cannot be decoded, and is released after the call.
// visitSessions removes entries without a session, and returns how many were stale.
func (s *Store) visitSessions(ctx context.Context, user string, visit func(*Handle, place) error) (stale int, err error) {
	all, err := s.indexedPlaces(ctx, user)
	if err != nil {
		return 0, err
	}
	for _, at := range all {
		h, old, err := s.openIndexed(ctx, user, at)
		if old {
			stale++
		}
		if err == nil && h == nil {
			continue
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return stale, err
		}
		err = visit(h, at)
		if h != nil {
			h.Release()
		}
		if err != nil {
			return stale, err
		}
	}
	return stale, nil
}

// The limits in bytes of what a session records of its browser, which controls it.
const (
	maxUserAgent = 256
	maxAddress   = 64
)

// clientInfo is what a session records of the browser in which it began or its user logged
// in. It is only shown to the user; no decision depends on it.
type clientInfo struct {
	userAgent string
	address   string
}

// clientOf returns the clientInfo of a request. It does not alias the request.
func clientOf(c *fiber.Ctx) clientInfo {
	return clientInfo{
		userAgent: printable(c.Get(fiber.HeaderUserAgent), maxUserAgent),
		address:   clientAddress(c),
	}
}

// clientAddress returns the address of a request's client. It reads a trusted proxy's header
// from the right, because the client can forge the left end, which fiber.Ctx.IP returns.
func clientAddress(c *fiber.Ctx) string {
	peer, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	peer = clientaddr.Plain(peer)
	cfg := c.App().Config()
	if cfg.ProxyHeader == "" || !c.IsProxyTrusted() {
		return peer.String()
	}
	var header []string
	for _, value := range c.Request().Header.PeekAll(cfg.ProxyHeader) {
		header = append(header, string(value))
	}
	var trusted []string
	if cfg.EnableTrustedProxyCheck {
		trusted = cfg.TrustedProxies
	}
	addr, _ := clientaddr.Find(peer, header, trusted)
	return addr.String()
}

// printable returns a copy of the printable characters in the first n bytes of s. It drops
// control characters, those that change the direction of text, and invalid UTF-8.
func printable(s string, n int) string {
	return strings.Clone(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) { // RuneError: also a character cut by the limit
			return -1
		}
		return r
	}, s[:min(n, len(s))]))
}
