package socketbridge

import (
	"container/list"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// ledgerStore keeps ledgers. A storage.Storage is one.
type ledgerStore interface {
	Load(ctx context.Context, key string) (storage.Item, error)
	CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error)
}

// memoryLedgers keeps the ledgers of a server without a storage. The ones that were used
// least recently are dropped above maxMemoryLedgers.
type memoryLedgers struct {
	mu    sync.Mutex
	byKey map[string]*list.Element // of *memoryLedger
	order list.List                // the one that was written last is at the front
	size  int
	last  int // the last revision
}

type memoryLedger struct {
	key      string
	value    []byte
	revision storage.Revision
	expires  time.Time
}

const (
	maxMemoryLedgers = 32 << 20
	ledgerOverhead   = 300 // roughly what a ledger takes in addition to its bytes
)

var _ ledgerStore = (*memoryLedgers)(nil)

// Load implements ledgerStore.
func (m *memoryLedgers) Load(_ context.Context, key string) (storage.Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.find(key)
	if l == nil {
		return storage.Item{}, storage.ErrNotFound
	}
	return storage.Item{Value: l.value, Revision: l.revision}, nil // a ledger is decoded, never changed in place
}

// CompareAndSwap implements ledgerStore.
func (m *memoryLedgers) CompareAndSwap(_ context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := storage.Absent
	if l := m.find(key); l != nil {
		now = l.revision
	}
	if now != old {
		return storage.Absent, storage.ErrConflict
	}
	m.remove(m.byKey[key])
	m.last++
	l := &memoryLedger{key: key, value: val, revision: storage.Revision(strconv.Itoa(m.last)), expires: time.Now().Add(ttl)}
	if m.byKey == nil {
		m.byKey = make(map[string]*list.Element)
	}
	m.byKey[key] = m.order.PushFront(l)
	m.size += l.size()
	for back := m.order.Back(); back != nil && (m.size > maxMemoryLedgers || back.Value.(*memoryLedger).expired()); back = m.order.Back() {
		m.remove(back)
	}
	return l.revision, nil
}

// find returns the ledger under key, or nil. m.mu must be held.
func (m *memoryLedgers) find(key string) *memoryLedger {
	e := m.byKey[key]
	if e == nil {
		return nil
	}
	l := e.Value.(*memoryLedger)
	if l.expired() {
		m.remove(e)
		return nil
	}
	return l
}

// remove drops a ledger. m.mu must be held.
func (m *memoryLedgers) remove(e *list.Element) {
	if e == nil {
		return
	}
	l := m.order.Remove(e).(*memoryLedger)
	delete(m.byKey, l.key)
	m.size -= l.size()
}

func (l *memoryLedger) expired() bool { return !time.Now().Before(l.expires) }

func (l *memoryLedger) size() int { return ledgerOverhead + len(l.key) + len(l.value) }
