package memory

import (
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

// New returns an empty storage in the memory of this process. It also implements
// storage.Feed, storage.Index, storage.PrefixResetter and storage.Checker, and is
// safe for concurrent use. It keeps entries until they expire, without a limit.
// Close ends its goroutine. New panics if the Config has a value that is not
// allowed.
func New(config ...Config) storage.Storage {
	cfg := configDefault(config...)
	return storage.From(&backend{memory: memory.New(memory.Config{GCInterval: cfg.GCInterval})})
}

// backend is gofiber's memory storage as a NonBlocking Basic. It does not embed the storage, because promoted methods would bypass Set.
type backend struct {
	memory  *memory.Storage
	closing sync.Once
}

// NonBlocking tells storage.From that no call waits for I/O.
func (*backend) NonBlocking() {}

func (b *backend) Get(key string) ([]byte, error) { return b.memory.Get(key) }
func (b *backend) Delete(key string) error        { return b.memory.Delete(key) }
func (b *backend) Reset() error                   { return b.memory.Reset() }
func (b *backend) Keys() ([][]byte, error)        { return b.memory.Keys() }

func (b *backend) Set(key string, val []byte, exp time.Duration) error {
	return b.memory.Set(key, val, min(exp, maxTTL))
}

// Close is idempotent: a second Close of gofiber's storage would block forever.
func (b *backend) Close() (err error) {
	b.closing.Do(func() { err = b.memory.Close() })
	return err
}

// maxTTL keeps expiries within gofiber's 32-bit clock, which ends in 2106.
const maxTTL = 40 * 365 * 24 * time.Hour
