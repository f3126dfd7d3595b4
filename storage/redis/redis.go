package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	gofiber "github.com/gofiber/storage/redis/v3"
	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/storage"
)

func init() { storage.Register(driver{}) }

type driver struct{}

func (driver) Schemes() []string {
	return []string{"redis", "rediss", "redis-sentinel", "rediss-sentinel", "redis-cluster", "rediss-cluster", "unix"}
}

func (driver) Open(url string) (storage.Storage, error) {
	cfg, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	s, err := New(cfg)
	if err != nil {
		return nil, err // not s: a nil *Storage in a storage.Storage is not nil
	}
	return s, nil
}

// Storage is a storage.Storage in Redis. It also implements storage.Feed,
// storage.Index, storage.PrefixResetter, storage.TTLReader and storage.Pinger. It is safe
// for concurrent use.
type Storage struct {
	base       *gofiber.Storage
	client     goredis.UniversalClient
	router     *router
	prefix     string
	suffix     string // of channels
	allowFlush bool
	timeout    time.Duration // of calls without a context
	maxSilence time.Duration // of a watch's connection; tests shorten it
	timers     timers
	notices    *notice.Board
	closed     chan struct{}
	close      func() error
	mu         sync.Mutex // guards watches
	watches    map[*watch]struct{}
}

var (
	_ storage.Storage        = (*Storage)(nil)
	_ storage.Feed           = (*Storage)(nil)
	_ storage.Index          = (*Storage)(nil)
	_ storage.PrefixResetter = (*Storage)(nil)
	_ storage.Pinger         = (*Storage)(nil)
)

// New connects to a Redis and verifies that it answers. It returns within
// ConnectTimeout and never panics. Its error wraps storage.ErrUnavailable if the
// server does not answer, and storage.ErrBadURL if the Config has a value that is
// not allowed. An open storage reconnects automatically.
func New(config ...Config) (*Storage, error) {
	cfg, err := configDefault(config...)
	if err != nil {
		return nil, err
	}
	if cfg.TLSConfig != nil && cfg.TLSConfig.InsecureSkipVerify {
		cfg.Logger.Warn("redis: TLS does not verify the server's certificate: anyone on the path to it can read and change sessions. "+
			"Set tls_ca_file instead of tls_skip_verify (TLSConfig.RootCAs instead of InsecureSkipVerify)", "addrs", cfg.Addrs)
	}
	s := &Storage{
		prefix:     cfg.Prefix,
		suffix:     ":changes",
		allowFlush: cfg.AllowFlush,
		timeout:    cfg.Timeout,
		maxSilence: defaultMaxSilence,
		notices:    notice.New(cfg.Logger),
		closed:     make(chan struct{}),
		watches:    map[*watch]struct{}{},
	}
	client := newClient(cfg, func(addr string) *server {
		return newServer(addr, cfg.Timeout+lateReply, &s.timers, s.renew)
	})
	ctx, cancel := context.WithTimeout(context.Background(), cfg.ConnectTimeout)
	defer cancel()
	if err := ping(ctx, client); err != nil {
		s.timers.close()
		return nil, errors.Join(fmt.Errorf("%w: redis at %v: %w", storage.ErrUnavailable, cfg.Addrs, err), client.Close())
	}

	s.base = gofiber.NewFromConnection(client) // that package's New panics if the server is down
	s.client = client
	s.router = newRouter(client)
	if cfg.Database != 0 {
		s.suffix += fmt.Sprintf("@%d", cfg.Database) // all databases of a server share its channels
	}
	s.close = sync.OnceValue(s.shutdown)
	return s, nil
}

// Conn returns the go-redis client of the storage, for commands that this package
// does not offer. It does not retry. Do not close it.
func (s *Storage) Conn() goredis.UniversalClient { return s.client }

// Prefix returns Config.Prefix.
func (s *Storage) Prefix() string { return s.prefix }

// name returns the Redis name of a key. It always copies key: an abandoned request
// may still be sent, and Fiber reuses the memory of its strings.
func (s *Storage) name(key string) string {
	if s.prefix == "" {
		return strings.Clone(key)
	}
	return s.prefix + key
}

// channel returns the channel for the changes of the key with the Redis name.
func (s *Storage) channel(name string) string { return name + s.suffix }

// ready returns the error of a call that must not begin: the storage is closed or
// ctx has ended.
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
	err := s.router.do(ctx, name, cmd, false)
	if isConnectionError(err) {
		// A read may be sent again. The server may have restarted since the connection
		// was last used.
		cmd = goredis.NewStringCmd(ctx, "get", name)
		err = s.router.do(ctx, name, cmd, false)
	}
	if errors.Is(err, goredis.Nil) {
		return storage.Item{}, storage.ErrNotFound
	}
	if err != nil {
		return storage.Item{}, wrap(err, false)
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
	case old == storage.Any: // to the script it means an unconditional write
		if err := s.ready(ctx); err != nil {
			return storage.Absent, err
		}
		return storage.Absent, storage.ErrConflict
	}
	return s.swap(ctx, key, old, val, ttl)
}

// swap stores val if the revision is old, or unconditionally if old is Any.
func (s *Storage) swap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	name := s.name(key)
	val = append([]byte(nil), val...) // the caller may return early and change it while it is sent
	stored, err := s.runWrite(ctx, swapScript, name, string(old), val, milliseconds(ttl), s.channel(name))
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
	removed, err := s.runWrite(ctx, deleteScript, name, string(old), s.channel(name))
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
	touched, err := s.runWrite(ctx, touchScript, s.name(key), milliseconds(ttl))
	if err == nil && touched == 0 {
		return storage.ErrNotFound
	}
	return err
}

// Ping implements storage.Pinger with PING, which takes the way of all other requests: behind
// those that wait for a hanging server. On a cluster it asks one node, because the others still
// serve their share of the keys while one is down.
func (s *Storage) Ping(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	name := s.name("ping")
	err := s.router.do(ctx, name, goredis.NewStatusCmd(ctx, "ping"), false)
	if isConnectionError(err) { // as in Load
		err = s.router.do(ctx, name, goredis.NewStatusCmd(ctx, "ping"), false)
	}
	if err != nil {
		return wrap(err, false)
	}
	return nil
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

// Set implements storage.Basic. It notifies the watches of key.
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

// Delete implements storage.Basic. It notifies the watches of key.
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

// Close closes the watches, waits for the replies to requests in flight, and closes
// all connections. Later calls return storage.ErrClosed.
func (s *Storage) Close() error { return s.close() }

func (s *Storage) shutdown() error {
	close(s.closed)
	s.closeWatches()
	s.router.close()
	s.timers.close()
	return s.base.Close()
}

// renew makes all watches connect anew and report a Gap. It is called after a server
// has refused a request with err, and when it accepts writes again (nil).
func (s *Storage) renew(addr string, err error) {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.watches))
	s.mu.Unlock()
	for _, w := range all {
		w.renew()
	}
	if err == nil {
		return
	}
	s.notices.Report(&refusedNotice, "", "addr", addr, "reply", err)
}

func errNegativeTTL(ttl time.Duration) error {
	return fmt.Errorf("%w: negative ttl %v", storage.ErrInvalid, ttl)
}
