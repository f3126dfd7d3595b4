package storage_test

import (
	"errors"
	"flag"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/storage"
)

func TestMain(m *testing.M) {
	// Most tests of the suite wait until a ttl has passed, so more can run at a time than
	// there are processors.
	_ = flag.Set("test.parallel", "16")
	goleak.VerifyTestMain(m)
}

var errBackend = errors.New("backend failed")

// naive is a simple fiber.Storage: it keeps the slices it is given and returns its
// own. The hooks run before each method.
type naive struct {
	onGet, onSet, onDelete func(key string) error

	mu   sync.Mutex // guards data
	data map[string]entry
}

type entry struct {
	val    []byte
	expiry time.Time
}

func (n *naive) Get(key string) ([]byte, error) {
	if n.onGet != nil {
		if err := n.onGet(key); err != nil {
			return nil, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.data[key]
	if !e.expiry.IsZero() && !time.Now().Before(e.expiry) {
		return nil, nil
	}
	return e.val, nil
}

func (n *naive) Set(key string, val []byte, exp time.Duration) error {
	if n.onSet != nil {
		if err := n.onSet(key); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.data == nil {
		n.data = map[string]entry{}
	}
	e := entry{val: val}
	if exp > 0 {
		e.expiry = time.Now().Add(exp)
	}
	n.data[key] = e
	return nil
}

func (n *naive) Delete(key string) error {
	if n.onDelete != nil {
		if err := n.onDelete(key); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.data, key)
	return nil
}

func (n *naive) Reset() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.data)
	return nil
}

func (n *naive) Keys() ([][]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var keys [][]byte
	for key := range n.data {
		keys = append(keys, []byte(key))
	}
	return keys, nil
}

func (n *naive) Close() error { return nil }

// bare hides the optional interfaces of a Storage.
type bare struct{ storage.Storage }
