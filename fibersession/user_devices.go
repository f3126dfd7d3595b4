package fibersession

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
)

// Device is one of a user's sessions, as a list for that user shows it.
type Device struct {
	// ID names the session in lists, and for EndDevice. It is a pseudonym: it
	// opens nothing, and stays when the session gets a new ID.
	ID string
	// UserAgent and Address are what the browser said of itself (at most 256
	// bytes, without control characters: escape it like any other input) and where
	// it came from (Fiber's c.IP()) when the session began or its user logged in.
	UserAgent string
	Address   string
	// Created is when the session was first stored, LastSeen when it was last used,
	// as exact as Config.Timeouts.TouchInterval, and Expires when it ends if nobody uses it.
	Created  time.Time
	LastSeen time.Time
	Expires  time.Time
	// Current says that it is the session that asked.
	Current bool
}

// deviceLabel is the label of the pseudonyms that name devices.
const deviceLabel = "device"

// Devices returns the sessions that the user is logged in with, on all nodes, last
// seen first. Entries whose sessions have ended are taken out of the index by the
// way. It needs Config.UserKey, else ErrUserKey, and a storage that is a
// storage.Index, else ErrNoIndex; each session costs one read of the store. To have
// the asking session marked, use that of a Handle or Session.
func (s *Store) Devices(ctx context.Context, user string) ([]Device, error) {
	return s.devices(ctx, user, nil)
}

// Devices returns the sessions of this session's user: see Store.Devices. Without a
// user there are none.
func (h *Handle) Devices(ctx context.Context) ([]Device, error) {
	if err := h.Err(); err != nil {
		return nil, err
	}
	return h.store.devices(ctx, h.store.userOf(h.values()), h)
}

// Devices returns the sessions of this session's user: see Store.Devices. Without a
// user there are none.
func (s *Session) Devices() ([]Device, error) {
	h, err := s.load()
	if err != nil {
		return nil, err
	}
	return h.Devices(context.Background())
}

// EndDevice ends the user's session with that Device.ID, wherever it is: its sockets
// on this node are disconnected before EndDevice returns. It is ErrNotFound when the
// user has no such session.
func (s *Store) EndDevice(ctx context.Context, user, id string) error {
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

// EndAll logs the user out everywhere: it ends all of the user's sessions, and says
// how many. Their sockets on this node are disconnected before it returns. What is
// stored for the user and cannot be understood (of another version, of another codec)
// is removed too. When it fails, some of them may live on: try again.
func (s *Store) EndAll(ctx context.Context, user string) (int, error) {
	return s.endWhere(ctx, user, func(*Handle) bool { return true })
}

// EndOthers ends all other sessions of this session's user, and says how many. See
// Store.EndAll.
func (h *Handle) EndOthers(ctx context.Context) (int, error) {
	if err := h.Err(); err != nil {
		return 0, err
	}
	mine := h.Pseudonym(deviceLabel)
	if mine == "" {
		return 0, ErrReleased // just now
	}
	return h.store.endWhere(ctx, h.store.userOf(h.values()), func(other *Handle) bool {
		return other == nil || other.Pseudonym(deviceLabel) != mine
	})
}

// EndDevice ends the session of this session's user with that Device.ID. See
// Store.EndDevice.
func (h *Handle) EndDevice(ctx context.Context, id string) error {
	if err := h.Err(); err != nil {
		return err
	}
	return h.store.EndDevice(ctx, h.store.userOf(h.values()), id)
}

// EndOthers ends all other sessions of this session's user, and says how many. See
// Store.EndAll.
func (s *Session) EndOthers() (int, error) {
	h, err := s.load()
	if err != nil {
		return 0, err
	}
	return h.EndOthers(context.Background())
}

// EndDevice ends the session of this session's user with that Device.ID. See
// Store.EndDevice.
func (s *Session) EndDevice(id string) error {
	h, err := s.load()
	if err != nil {
		return err
	}
	return h.EndDevice(context.Background(), id)
}

func (s *Store) devices(ctx context.Context, user string, asking *Handle) ([]Device, error) {
	var all []Device
	_, err := s.each(ctx, user, func(h *Handle, _ place) error {
		if h == nil {
			return nil // nobody can use it here
		}
		cur, err := h.current()
		if err != nil {
			return nil // it ended just now
		}
		d := Device{
			ID:        h.Pseudonym(deviceLabel),
			UserAgent: cur.device.userAgent,
			Address:   cur.device.address,
			Created:   cur.created,
			LastSeen:  cur.expiry.Add(-cur.idle),
			Expires:   cur.deadline(),
		}
		d.Current = asking != nil && d.ID == asking.Pseudonym(deviceLabel)
		if !slices.ContainsFunc(all, func(o Device) bool { return o.ID == d.ID }) { // it may get a new ID meanwhile
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

// maxPasses bounds how often endWhere looks for more.
const maxPasses = 16

// endWhere ends the sessions of a user that end says yes to; nil stands for one that
// cannot be understood. A session that gets a
// new ID while the index is read may be missed under both, so it looks again until
// it finds nothing that ended or moved.
func (s *Store) endWhere(ctx context.Context, user string, end func(*Handle) bool) (ended int, err error) {
	for range maxPasses {
		var failed []error
		before := ended
		strays, err := s.each(ctx, user, func(h *Handle, at place) error {
			if !end(h) {
				return nil
			}
			var err error
			if h != nil {
				err = h.Destroy(ctx)
			} else {
				err = s.discard(ctx, user, at)
			}
			if err != nil {
				failed = append(failed, err) // the others shall end all the same
				return nil
			}
			ended++
			return nil
		})
		if err = errors.Join(append(failed, err)...); err != nil {
			return ended, err
		}
		if strays == 0 && ended == before {
			break
		}
	}
	return ended, nil
}

// each visits the user's sessions, as the store has them now, with a nil handle for
// those that cannot be understood. It takes out the entries behind which there is
// none, and returns how many.
func (s *Store) each(ctx context.Context, user string, visit func(*Handle, place) error) (strays int, err error) {
	all, err := s.entries(ctx, user)
	if err != nil {
		return 0, err
	}
	for _, at := range all {
		h, err := s.entry(ctx, user, at)
		if err == nil && h == nil {
			strays++
			if h, err = s.stray(ctx, user, at); err == nil && h == nil {
				continue
			}
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return strays, err
		}
		err = visit(h, at)
		if h != nil {
			h.Release()
		}
		if err != nil {
			return strays, err
		}
	}
	return strays, nil
}

// What is remembered of a browser is bounded: it is the browser's to choose.
const (
	maxUserAgent = 256
	maxAddress   = 64
)

// device is what a session remembers of the browser that it began in, or that its
// user logged in with. Other devices are told by it, and nothing is decided by it.
type device struct {
	userAgent string
	address   string
}

// deviceOf returns private copies of what a request tells.
func deviceOf(c *fiber.Ctx) device {
	return device{
		userAgent: bounded(c.Get(fiber.HeaderUserAgent), maxUserAgent),
		address:   bounded(c.IP(), maxAddress),
	}
}

// bounded returns a copy of what is printable of s: at most n bytes of valid UTF-8,
// without control characters and what turns the direction of writing.
func bounded(s string, n int) string {
	return strings.Clone(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) { // also for each byte of a character that was cut through
			return -1
		}
		return r
	}, s[:min(n, len(s))]))
}

// encode returns the length of the address, the address and the user agent; nothing
// for the zero device.
func (d device) encode() []byte {
	if d == (device{}) {
		return nil
	}
	b := make([]byte, 0, 1+len(d.address)+len(d.userAgent))
	b = append(b, byte(len(d.address)))
	return append(append(b, d.address...), d.userAgent...)
}

func decodeDevice(b []byte) (device, error) {
	if len(b) == 0 {
		return device{}, nil
	}
	n := int(b[0])
	if len(b) == 1 || n > len(b)-1 || n > maxAddress || len(b)-1-n > maxUserAgent {
		return device{}, fmt.Errorf("%w: bad device", errEnvelope)
	}
	return device{address: string(b[1 : 1+n]), userAgent: string(b[1+n:])}, nil
}
