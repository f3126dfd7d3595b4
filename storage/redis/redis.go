package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	gofiber "github.com/gofiber/storage/redis/v3"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fiberbridge/fiberbridge/storage"
)

func init() { storage.Register(driver{}) }

type driver struct{}

func (driver) Schemes() []string {
	return []string{"redis", "rediss", "redis-sentinel", "rediss-sentinel", "redis-cluster", "rediss-cluster"}
}

func (driver) Open(url string) (storage.Storage, error) {
	cfg, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	s, err := New(cfg)
	if err != nil {
		return nil, err // not s: a nil *Storage is not a nil storage.Storage
	}
	return s, nil
}

// Storage is a storage.Storage on Redis, with every ability (storage.Feed,
// storage.Index, storage.PrefixResetter). It is safe for concurrent use.
type Storage struct {
	base    *gofiber.Storage
	client  goredis.UniversalClient
	router  *router
	prefix  string
	suffix  string // of channels
	flush   bool
	timeout time.Duration // of calls without a context
	silence time.Duration // maxSilence, but in tests
	closed  chan struct{}
	close   func() error
	mu      sync.Mutex // guards watches
	watches map[*watch]struct{}
}

var (
	_ storage.Storage        = (*Storage)(nil)
	_ storage.Feed           = (*Storage)(nil)
	_ storage.Index          = (*Storage)(nil)
	_ storage.PrefixResetter = (*Storage)(nil)
)

// New connects to a Redis and makes sure that it answers. It returns within
// ConnectTimeout, with an error that wraps storage.ErrUnavailable when the server
// is down, and storage.ErrBadURL when the Config contradicts itself; it never
// panics. Once open, the storage reconnects by itself.
func New(config ...Config) (*Storage, error) {
	cfg, err := configDefault(config...)
	if err != nil {
		return nil, err
	}
	client := newClient(cfg)
	ctx, cancel := context.WithTimeout(context.Background(), cfg.ConnectTimeout)
	defer cancel()
	if err := ping(ctx, client); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: redis at %v: %w", storage.ErrUnavailable, cfg.Addrs, err), client.Close())
	}

	s := &Storage{
		base:    gofiber.NewFromConnection(client), // New of that package panics when the server is down
		client:  client,
		router:  newRouter(client),
		prefix:  cfg.Prefix,
		suffix:  ":changes",
		flush:   cfg.AllowFlush,
		timeout: cfg.Timeout,
		silence: maxSilence,
		closed:  make(chan struct{}),
		watches: map[*watch]struct{}{},
	}
	if cfg.Database != 0 {
		s.suffix += fmt.Sprintf("@%d", cfg.Database) // all databases share the channels
	}
	s.close = sync.OnceValue(s.shut)
	return s, nil
}

// newClient makes the client that cfg asks for. It never sends a command twice: a
// swap that was sent again after its answer was lost would find its own value and
// report a conflict.
func newClient(cfg Config) goredis.UniversalClient {
	dialTimeout := min(cfg.Timeout, cfg.ConnectTimeout)
	switch {
	case cfg.Cluster:
		client := goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs:                 cfg.Addrs,
			ClientName:            cfg.ClientName,
			Protocol:              2,
			Username:              cfg.Username,
			Password:              cfg.Password,
			MaxRetries:            -1,
			DialTimeout:           dialTimeout,
			ReadTimeout:           cfg.Timeout,
			WriteTimeout:          cfg.Timeout,
			ContextTimeoutEnabled: true,
			PoolSize:              cfg.PoolSize,
			TLSConfig:             cfg.TLSConfig,
			DisableIdentity:       true,
			MaintNotificationsConfig: &maintnotifications.Config{
				Mode: maintnotifications.ModeDisabled,
			},
		})
		client.OnNewNode(func(node *goredis.Client) { node.AddHook(dialHook{}) })
		return client
	case cfg.Master != "":
		client := goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName:            cfg.Master,
			SentinelAddrs:         cfg.Addrs,
			SentinelUsername:      cfg.SentinelUsername,
			SentinelPassword:      cfg.SentinelPassword,
			ClientName:            cfg.ClientName,
			Protocol:              2,
			Username:              cfg.Username,
			Password:              cfg.Password,
			DB:                    cfg.Database,
			MaxRetries:            -1,
			DialTimeout:           dialTimeout,
			ReadTimeout:           cfg.Timeout,
			WriteTimeout:          cfg.Timeout,
			ContextTimeoutEnabled: true,
			PoolSize:              cfg.PoolSize,
			TLSConfig:             cfg.TLSConfig,
			DisableIdentity:       true,
		})
		client.AddHook(dialHook{})
		return client
	default:
		client := goredis.NewClient(&goredis.Options{
			Addr:                  cfg.Addrs[0],
			ClientName:            cfg.ClientName,
			Protocol:              2,
			Username:              cfg.Username,
			Password:              cfg.Password,
			DB:                    cfg.Database,
			MaxRetries:            -1,
			DialTimeout:           dialTimeout,
			ReadTimeout:           cfg.Timeout,
			WriteTimeout:          cfg.Timeout,
			ContextTimeoutEnabled: true,
			PoolSize:              cfg.PoolSize,
			TLSConfig:             cfg.TLSConfig,
			DisableIdentity:       true,
			MaintNotificationsConfig: &maintnotifications.Config{
				Mode: maintnotifications.ModeDisabled,
			},
		})
		client.AddHook(dialHook{})
		return client
	}
}

// ping asks one node of the Redis whether it answers.
func ping(ctx context.Context, client goredis.UniversalClient) error {
	err := client.Ping(ctx).Err()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}

// Conn returns the go-redis client under the storage, for what this package does
// not do. It does not retry. It must not be closed.
func (s *Storage) Conn() goredis.UniversalClient { return s.client }

// Prefix returns Config.Prefix.
func (s *Storage) Prefix() string { return s.prefix }

// name returns Redis' name for a key, in memory of its own: a request that its
// caller left may still be sent, and Fiber uses the memory of its strings again.
func (s *Storage) name(key string) string {
	if s.prefix == "" {
		return strings.Clone(key)
	}
	return s.prefix + key
}

// channel returns the channel that carries the changes of a key.
func (s *Storage) channel(name string) string { return name + s.suffix }

// ready reports whether a call may begin at all.
func (s *Storage) ready(ctx context.Context) error {
	select {
	case <-s.closed:
		return storage.ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return unavailable(ctx)
	}
	return nil
}

// Load implements storage.Storage with GET.
func (s *Storage) Load(ctx context.Context, key string) (storage.Item, error) {
	if err := s.ready(ctx); err != nil {
		return storage.Item{}, err
	}
	if key == "" {
		return storage.Item{}, storage.ErrNotFound
	}
	name := s.name(key)
	cmd := goredis.NewStringCmd(ctx, "get", name)
	err := s.router.do(ctx, name, cmd)
	if isBroken(err) {
		// A read may be sent again: the server may have been restarted since the
		// connection was last used.
		cmd = goredis.NewStringCmd(ctx, "get", name)
		err = s.router.do(ctx, name, cmd)
	}
	if errors.Is(err, goredis.Nil) {
		return storage.Item{}, storage.ErrNotFound
	}
	if err != nil {
		return storage.Item{}, explain(err, false)
	}
	val, err := cmd.Bytes()
	if err != nil || len(val) == 0 {
		return storage.Item{}, storage.ErrNotFound
	}
	return storage.Item{Value: val, Revision: revision(val)}, nil
}

// CompareAndSwap implements storage.Storage with a script that also publishes the
// change.
func (s *Storage) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	switch {
	case key == "" || len(val) == 0:
		return storage.Absent, fmt.Errorf("%w: empty key or value", storage.ErrInvalid)
	case ttl < 0:
		return storage.Absent, errNegativeTTL(ttl)
	case old == storage.Any: // the script has its own use for it
		if err := s.ready(ctx); err != nil {
			return storage.Absent, err
		}
		return storage.Absent, storage.ErrConflict
	}
	return s.swap(ctx, key, old, val, ttl)
}

// swap stores val if the revision is old, or in any case if old is Any.
func (s *Storage) swap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	name := s.name(key)
	val = append([]byte(nil), val...) // a caller who leaves early may change it while it is sent
	stored, err := s.number(ctx, swapScript, name, string(old), val, millis(ttl), s.channel(name))
	switch {
	case err != nil:
		return storage.Absent, err
	case stored == 0:
		return storage.Absent, storage.ErrConflict
	}
	return revision(val), nil
}

// CompareAndDelete implements storage.Storage with a script that also publishes
// the change.
func (s *Storage) CompareAndDelete(ctx context.Context, key string, old storage.Revision) error {
	if key == "" {
		if err := s.ready(ctx); err != nil {
			return err
		}
		return storage.ErrNotFound
	}
	name := s.name(key)
	removed, err := s.number(ctx, deleteScript, name, string(old), s.channel(name))
	switch {
	case err != nil:
		return err
	case removed < 0:
		return storage.ErrNotFound
	case removed == 0:
		return storage.ErrConflict
	}
	return nil
}

// Touch implements storage.Storage.
func (s *Storage) Touch(ctx context.Context, key string, ttl time.Duration) error {
	if ttl < 0 {
		return errNegativeTTL(ttl)
	}
	if key == "" {
		if err := s.ready(ctx); err != nil {
			return err
		}
		return storage.ErrNotFound
	}
	touched, err := s.number(ctx, touchScript, s.name(key), millis(ttl))
	if err == nil && touched == 0 {
		return storage.ErrNotFound
	}
	return err
}

// Get implements storage.Basic. It waits for Timeout at most, as Set and Delete do.
func (s *Storage) Get(key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	item, err := s.Load(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return item.Value, err
}

// Set implements storage.Basic. It tells the watches of key.
func (s *Storage) Set(key string, val []byte, exp time.Duration) error {
	if key == "" || len(val) == 0 {
		return nil
	}
	if exp < 0 {
		return errNegativeTTL(exp)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	_, err := s.swap(ctx, key, storage.Any, val, exp)
	return err
}

// Delete implements storage.Basic. It tells the watches of key.
func (s *Storage) Delete(key string) error {
	if key == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	err := s.CompareAndDelete(ctx, key, storage.Any)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// Close ends the watches, lets requests under way be answered, and closes all
// connections. Later calls return storage.ErrClosed.
func (s *Storage) Close() error { return s.close() }

func (s *Storage) shut() error {
	close(s.closed)
	s.closeWatches()
	s.router.close()
	return s.base.Close()
}

func errNegativeTTL(ttl time.Duration) error {
	return fmt.Errorf("%w: negative ttl %v", storage.ErrInvalid, ttl)
}
