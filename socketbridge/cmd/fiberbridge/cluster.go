package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/emitter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

// modes are the values of --adapter.
var modes = map[string]redisadapter.Mode{
	"classic":         redisadapter.Classic,
	"sharded":         redisadapter.Sharded,
	"sharded-static":  redisadapter.ShardedStatic,
	"sharded-private": redisadapter.ShardedPrivate,
	"streams":         redisadapter.Streams,
	"streams-sharded": redisadapter.StreamsSharded,
	"streams-only":    redisadapter.StreamsOnly,
}

// settings are the flags of all commands.
type settings struct {
	storage, mode string
	fromArgs      bool // the storage was given as an argument
	adapter       redisadapter.Config
	prefix        string
	timeout       time.Duration
	json          bool
}

func (s *settings) register(f *flag.FlagSet, env func(string) string) {
	s.storage = cmp.Or(env("FIBERBRIDGE_STORAGE"), env("STORAGE"))
	f.Func("storage", "`URL` of the servers' storage; with a password, set FIBERBRIDGE_STORAGE instead", func(v string) error {
		s.storage, s.fromArgs = v, true
		return nil
	})
	f.StringVar(&s.mode, "adapter", cmp.Or(env("FIBERBRIDGE_ADAPTER"), "classic"), "`mode` of the servers' adapter: classic, sharded, sharded-static, sharded-private, streams, streams-sharded or streams-only")
	f.StringVar(&s.adapter.Key, "key", "", "`key` of the servers' adapter, if they have another one than the default")
	f.StringVar(&s.adapter.ChannelPrefix, "channel-prefix", "", "`prefix` of the channels for requests, in the streams modes")
	f.IntVar(&s.adapter.StreamCount, "stream-count", 1, "`number` of streams, in the streams modes")
	f.StringVar(&s.prefix, "session-prefix", fibersession.ConfigDefault.Prefix, "`prefix` of the servers' sessions (fibersession.Config.Prefix)")
	f.DurationVar(&s.timeout, "timeout", 5*time.Second, "`duration` for which to wait for the servers and the storage, such as 10s")
	f.BoolVar(&s.json, "json", false, "print JSON, one object per line")
}

// cluster is the connection to the servers.
type cluster struct {
	*settings
	store    storage.Storage
	sessions *fibersession.Store
	out      *emitter.Emitter // nil after follow
	link     adapter.Adapter
}

// open opens the storage. It connects to it, but not yet to the servers.
func (s *settings) open(p *program) (*cluster, error) {
	if s.storage == "" {
		return nil, usagef("the servers' storage is not known: set FIBERBRIDGE_STORAGE to its URL, such as redis://127.0.0.1:6379/0")
	}
	if u, err := url.Parse(s.storage); s.fromArgs && err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			return nil, usagef("--storage contains a password, which other users of this machine could read in the list of processes: set FIBERBRIDGE_STORAGE instead")
		}
	}
	var known bool
	if s.adapter.Mode, known = modes[s.mode]; !known {
		return nil, usagef("--adapter is %s: it must be classic, sharded, sharded-static, sharded-private, streams, streams-sharded or streams-only", clean(s.mode))
	}
	if s.adapter.StreamCount < 1 {
		return nil, usagef("--stream-count is %d: it must be at least 1", s.adapter.StreamCount)
	}
	if s.timeout <= 0 {
		return nil, usagef("--timeout is %v: it must be positive", s.timeout)
	}
	var err error
	if s.adapter.Secrets, err = parseSecrets(p.env("FIBERBRIDGE_SECRETS")); err != nil {
		return nil, err
	}
	// Warnings of the libraries go to stderr, so that stdout stays readable by programs.
	logger := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s.adapter.Logger, s.adapter.Timeout = logger, min(s.timeout, redisadapter.ConfigDefault.Timeout)
	store, err := storage.Open(s.storage)
	switch {
	case errors.Is(err, storage.ErrBadURL), errors.Is(err, storage.ErrUnknownScheme):
		return nil, usagef("%v", err)
	case err != nil:
		return nil, err
	}
	link := redisadapter.For(store, s.adapter)
	if link == nil {
		_ = store.Close()
		return nil, usagef("the storage is not on Redis: other processes cannot be reached through it")
	}
	return &cluster{
		settings: s, store: store, link: link,
		// The name of the key does not matter: the users are found in the index.
		sessions: fibersession.New(fibersession.Config{Storage: store, Prefix: s.prefix, UserKey: "user", Logger: logger}),
	}, nil
}

// emitter returns the emitter, and starts it at the first call.
func (c *cluster) emitter() *emitter.Emitter {
	if c.out == nil {
		c.out = emitter.New(emitter.Config{Adapter: c.link, Sessions: c.sessions, Logger: c.adapter.Logger})
	}
	return c.out
}

// waiting bounds one exchange with the servers.
func (c *cluster) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}

func (c *cluster) close() error {
	var errs []error
	if c.out != nil {
		ctx, cancel := c.waiting(context.Background())
		defer cancel()
		errs = append(errs, c.out.Close(ctx))
	}
	return errors.Join(append(errs, c.sessions.Close(), c.store.Close())...)
}

// parseSecrets decodes FIBERBRIDGE_SECRETS. Its errors do not repeat a secret.
func parseSecrets(text string) (secrets [][]byte, err error) {
	if text == "" {
		return nil, nil
	}
	for i, part := range strings.Split(text, ",") {
		secret := []byte(part)
		if v, ok := strings.CutPrefix(part, "base64:"); ok {
			secret, err = base64.StdEncoding.DecodeString(v)
		} else if v, ok := strings.CutPrefix(part, "hex:"); ok {
			secret, err = hex.DecodeString(v)
		}
		if err != nil {
			return nil, usagef("number %d of FIBERBRIDGE_SECRETS is not valid base64 or hex after its colon", i+1)
		}
		if len(secret) < 32 {
			return nil, usagef("number %d of FIBERBRIDGE_SECRETS has %d bytes: each secret has 32 or more", i+1, len(secret))
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// explain adds to an error what to change.
func explain(err error) error {
	switch {
	case errors.Is(err, adapter.ErrIncomplete):
		return fmt.Errorf("%w\na server did not answer in time: ask again, or give it longer with --timeout", err)
	case errors.Is(err, storage.ErrUnavailable), errors.Is(err, adapter.ErrUnavailable):
		return fmt.Errorf("%w\ncheck that FIBERBRIDGE_STORAGE is the storage of the servers, and that it accepts connections from here", err)
	}
	return err
}

// list is a flag that can be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// namespaces is the flag --namespace.
type namespaces struct{ list }

func (n *namespaces) register(f *flag.FlagSet) {
	f.Var(&n.list, "namespace", "`name` of the namespace, can be repeated; without it /")
}

// in returns the namespaces.
func (n *namespaces) in(out *emitter.Emitter) (all []emitter.Namespace, err error) {
	defer func() {
		if p := recover(); p != nil { // Of refuses names that no client can join
			err = usagef("--namespace: %v", p)
		}
	}()
	names := slices.Clone([]string(n.list))
	if len(names) == 0 {
		names = []string{"/"}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		all = append(all, out.Of(name))
	}
	return all, nil
}
