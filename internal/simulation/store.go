package simulation

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// database is the storage that all nodes share. Its calls take no time; links add that.
type database struct {
	mu      sync.Mutex
	lastRev uint64
	items   map[string]record
	sets    map[string]map[string]time.Time // members and when they expire
	names   map[string]uint64               // an ordinal for each key, in the order of first use
	watches []*watch
}

type record struct {
	item    storage.Item
	expires time.Time // zero: never
}

func newDatabase() *database {
	return &database{items: map[string]record{}, sets: map[string]map[string]time.Time{}, names: map[string]uint64{}}
}

// ordinal returns a number for a key that does not depend on the key's random text.
func (d *database) ordinal(key string) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.names[key]
	if !ok {
		n = uint64(len(d.names))
		d.names[key] = n
	}
	return n
}

func expiry(ttl time.Duration) time.Time {
	if ttl == 0 {
		return time.Time{}
	}
	return time.Now().Add(ttl)
}

// get returns a live record. The caller holds d.mu.
func (d *database) get(key string) (record, bool) {
	r, ok := d.items[key]
	if ok && !r.expires.IsZero() && !time.Now().Before(r.expires) {
		delete(d.items, key) // no change of the feed: as in Redis, expiry is silent
		return record{}, false
	}
	return r, ok
}

func (d *database) load(key string) (storage.Item, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.get(key)
	if !ok {
		return storage.Item{}, storage.ErrNotFound
	}
	return storage.Item{Value: append([]byte(nil), r.item.Value...), Revision: r.item.Revision}, nil
}

func (d *database) swap(key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, _ := d.get(key); old != storage.Any && r.item.Revision != old {
		return storage.Absent, storage.ErrConflict
	}
	d.lastRev++
	item := storage.Item{Value: append([]byte(nil), val...), Revision: storage.Revision(strconv.FormatUint(d.lastRev, 36))}
	d.items[key] = record{item, expiry(ttl)}
	d.publish(storage.Change{Kind: storage.Written, Key: key, Item: item})
	return item.Revision, nil
}

func (d *database) remove(key string, old storage.Revision) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.get(key)
	switch {
	case !ok:
		return storage.ErrNotFound
	case old != storage.Any && r.item.Revision != old:
		return storage.ErrConflict
	}
	delete(d.items, key)
	d.publish(storage.Change{Kind: storage.Removed, Key: key})
	return nil
}

func (d *database) touch(key string, ttl time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.get(key)
	if !ok {
		return storage.ErrNotFound
	}
	r.expires = expiry(ttl)
	d.items[key] = r
	return nil
}

func (d *database) addMember(set, member string, ttl time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sets[set] == nil {
		d.sets[set] = map[string]time.Time{}
	}
	d.sets[set][member] = expiry(ttl)
}

func (d *database) removeMember(set, member string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sets[set], member)
}

func (d *database) members(set string) (all []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for m, expires := range d.sets[set] {
		if expires.IsZero() || time.Now().Before(expires) {
			all = append(all, m)
		}
	}
	slices.Sort(all) // IDs are random, but the order within one run is the same for every reader
	return all
}

// publish passes a change to the watches. The caller holds d.mu.
func (d *database) publish(c storage.Change) {
	for _, w := range d.watches {
		w.offer(c)
	}
}
