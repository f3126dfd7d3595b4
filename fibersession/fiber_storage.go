package fibersession

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/storage"
)

// sealedStorage is Store.Storage in the sealed layout. With Fiber's middleware/session, the key
// of a session is its ID, and programs rely on that: store.Storage.Delete(id) is a logout. Here
// the key is a hash, so this storage translates the IDs of sessions. Every other key is the
// app's own.
type sealedStorage struct {
	store *Store
	app   fiber.Storage // Config.Storage as the app gave it
}

// newSealedStorage returns the storage to promote for app. Config may be a copy of another store's.
func newSealedStorage(s *Store, app fiber.Storage) sealedStorage {
	if other, ok := app.(sealedStorage); ok {
		app = other.app
	}
	return sealedStorage{store: s, app: app}
}

// ownKeys begin the keys of stores and their sockets, after Config.Prefix.
var ownKeys = [...]string{"s:", "u:", "p:", "o:", "r:", string(ticketToken), string(cookieToken)}

// Backend makes storage.From return the storage itself.
func (p sealedStorage) Backend() storage.Storage { return p.store.base }

// Get returns a session's values as Fiber encodes them, or the value of another key.
func (p sealedStorage) Get(key string) ([]byte, error) {
	h, err := p.session(key)
	switch {
	case err != nil:
		return nil, err
	case h == nil:
		return p.app.Get(key)
	}
	defer h.Release()
	return p.store.encodeForFiber(h.Keys(), h.peek)
}

// Set replaces a session's values by those that Fiber encoded, in one update of its newest
// revision. Values that Get does not show stay. It stores the value of another key.
func (p sealedStorage) Set(key string, val []byte, exp time.Duration) error {
	h, err := p.session(key)
	switch {
	case err != nil:
		return err
	case h == nil:
		return p.app.Set(key, val, exp)
	}
	defer h.Release()
	err = h.Update(context.Background(), func(tx *Tx) error {
		now, err := p.store.encodeForFiber(tx.Keys(), tx.Get)
		if err != nil {
			return err
		}
		ch, err := fiberChanges(now, val)
		if err != nil {
			return fmt.Errorf("fibersession: Store.Storage.Set of a session needs values as Fiber's middleware/session encodes them: %w", err)
		}
		for key, c := range ch {
			tx.change(key, c)
		}
		return nil
	})
	if err != nil || exp <= 0 || exp == p.store.Config.Expiration {
		return err
	}
	h.setExpiry(exp)
	return h.Save(context.Background())
}

// Delete ends the session with this ID, as Store.Delete does, and removes the key.
func (p sealedStorage) Delete(key string) error {
	if err := p.check(key); err != nil {
		return err
	}
	if key != "" {
		if err := p.store.Delete(key); err != nil {
			return err
		}
	}
	return p.app.Delete(key)
}

// Reset empties the whole storage.
func (p sealedStorage) Reset() error { return p.store.base.Reset() }

// Close closes the store and the storage.
func (p sealedStorage) Close() error {
	return errors.Join(p.store.Close(), p.store.base.Close())
}

// session returns a handle of the session that has or had this ID: the ID of an old login leads
// to the session that took it over. It returns nil if key is another one.
func (p sealedStorage) session(key string) (*Handle, error) {
	if err := p.check(key); err != nil {
		return nil, err
	}
	h, err := p.store.GetByID(context.Background(), key)
	if !errors.Is(err, ErrNotFound) {
		return h, err
	}
	if t := p.store.takeovers; t.isOver() || !t.isOldID(key) {
		return nil, nil
	}
	value, err := p.app.Get(key)
	if err != nil {
		return nil, err
	}
	note, ok := openOldIDNote(key, value)
	if !ok {
		return nil, nil
	}
	h, err = p.store.GetByID(context.Background(), note.newID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return h, err
}

// check rejects the store's own keys, so that no key of the app's choosing reaches a session
// that it was not given the ID of.
func (p sealedStorage) check(key string) error {
	own, ok := strings.CutPrefix(key, p.store.Config.Prefix)
	if !ok {
		return nil
	}
	for _, family := range ownKeys {
		if strings.HasPrefix(own, family) {
			return fmt.Errorf("%w: fibersession: the key begins with Config.Prefix and %q, as the store's own keys do; use Store.Backend to access them",
				storage.ErrInvalid, family)
		}
	}
	return nil
}
