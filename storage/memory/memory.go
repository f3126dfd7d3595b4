package memory

import (
	"math"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/storage/memory/v2"

	"github.com/fiberbridge/fiberbridge/storage"
)

func init() { storage.Register(driver{}) }

// driver serves memory://.
type driver struct{}

func (driver) Schemes() []string { return []string{"memory"} }

func (driver) Open(url string) (storage.Storage, error) {
	if strings.ToLower(url) != "memory://" {
		return nil, errURL
	}
	return New(), nil
}

// New returns an empty storage in the memory of this process. It is a
// storage.Storage with every ability (storage.Feed, storage.Index,
// storage.PrefixResetter), safe for concurrent use. It holds what it is given
// until it expires, without a limit of its own. Close ends its goroutine.
func New(config ...Config) storage.Storage {
	cfg := configDefault(config...)
	return storage.From(&backend{memory: memory.New(memory.Config{GCInterval: cfg.GCInterval})})
}

// backend is gofiber's memory storage as a Basic, with lives that are never too
// short. It does not embed it: its promoted methods would pass Set by.
type backend struct {
	memory  *memory.Storage
	closing sync.Once
}

// Prompt tells storage.From that no call waits for I/O.
func (*backend) Prompt() {}

func (b *backend) Get(key string) ([]byte, error) { return b.memory.Get(key) }
func (b *backend) Delete(key string) error        { return b.memory.Delete(key) }
func (b *backend) Reset() error                   { return b.memory.Reset() }
func (b *backend) Keys() ([][]byte, error)        { return b.memory.Keys() }

func (b *backend) Set(key string, val []byte, exp time.Duration) error {
	return b.memory.Set(key, val, life(exp))
}

// Close is idempotent: gofiber's second Close would wait for ever.
func (b *backend) Close() (err error) {
	b.closing.Do(func() { err = b.memory.Close() })
	return err
}

// maxLife keeps expiries within gofiber's 32-bit clock, which ends in 2106.
const maxLife = 40 * 365 * 24 * time.Hour

// life rounds a ttl up: gofiber's storage cuts it to whole seconds and compares
// it with a clock that moves once a second, so that one second more is needed.
func life(ttl time.Duration) time.Duration {
	switch {
	case ttl == 0:
		return 0
	case ttl > maxLife:
		return maxLife
	}
	return time.Duration(math.Ceil(ttl.Seconds())+1) * time.Second
}
