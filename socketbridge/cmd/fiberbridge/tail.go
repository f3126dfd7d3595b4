package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// maxWaiting is how many things may wait to be printed. Further ones are counted and dropped: a
// slow terminal does not slow the receiver.
const maxWaiting = 4096

var tailCommand = command{
	name: "tail", short: "follow what happens in the cluster",
	long: `
Prints, until Ctrl-C:

  broadcast, join, leave, disconnect, server-side, request
               what the servers send each other; a broadcast to sockets of one server alone
               (local) stays there
  online, offline
               users who come online or go offline (the storage is asked every --every)
  session-end  sessions that are ended or log out; not those that expire

The name in a line of session-end is not the name that who shows: Redis tells only which key was
removed, and a session's key does not reveal its name. To learn whose session it was, look for the
user's line offline, or at the sockets that are missing in who.

In the sharded modes the servers' messages cannot be received without being counted as one of
them, and in the mode streams-sharded no requests and server-side events. Values can be private:
arguments are shown with --args only.`,
	setup: func(f *flag.FlagSet) func(context.Context, *program, *cluster, []string) error {
		var t tail
		t.namespaces.register(f)
		f.DurationVar(&t.limit, "for", 0, "`duration` after which to stop, such as 30s")
		f.IntVar(&t.count, "count", 0, "stop after this `number` of lines")
		f.DurationVar(&t.every, "every", 2*time.Second, "`duration` between two readings of who is online; 0 leaves users out")
		f.BoolVar(&t.args, "args", false, "show the arguments of events")
		return t.do
	},
}

type tail struct {
	namespaces
	limit, every time.Duration
	count        int
	args         bool

	lines chan happening
	mu    sync.Mutex
	lost  int
}

// happening is a line of tail.
type happening struct {
	Time      time.Time         `json:"time"`
	Kind      string            `json:"kind"`
	Namespace string            `json:"namespace,omitempty"`
	Event     string            `json:"event,omitempty"`
	Rooms     []string          `json:"rooms,omitempty"`
	Except    []string          `json:"except,omitempty"`
	Targets   []string          `json:"targets,omitempty"`
	User      string            `json:"user,omitempty"`
	Key       string            `json:"key,omitempty"` // a name of the session's key in the storage
	Bytes     int               `json:"bytes,omitempty"`
	Args      []json.RawMessage `json:"args,omitempty"`
}

func (t *tail) do(ctx context.Context, p *program, c *cluster, args []string) error {
	switch {
	case len(args) > 0:
		return usagef("tail takes no arguments: %s", cleanAll(args))
	case t.limit < 0 || t.every < 0 || t.count < 0:
		return usagef("--for, --every and --count must not be negative")
	}
	t.lines = make(chan happening, maxWaiting)
	// The adapter that watches is another one than that which asks.
	watching, ok := redisadapter.For(c.store, c.adapter).(adapter.Emitter)
	if !ok {
		return usagef("the storage is not on Redis: other processes cannot be watched through it")
	}
	names := slices.Clone([]string(t.list))
	if len(names) == 0 {
		names = []string{"/"}
	}
	if _, err := t.namespaces.in(c.emitter()); err != nil {
		return err
	}
	for _, name := range names {
		watching.Open("/" + strings.TrimPrefix(name, "/"))
	}
	if m := c.adapter.Mode; m == redisadapter.Sharded || m == redisadapter.ShardedStatic || m == redisadapter.ShardedPrivate {
		fmt.Fprintln(p.stderr, "fiberbridge: with the sharded adapters, what the servers send each other cannot be followed: only users and sessions are shown")
	}
	var stop context.CancelFunc
	if t.limit > 0 {
		ctx, stop = context.WithTimeout(ctx, t.limit)
	} else {
		ctx, stop = context.WithCancel(ctx)
	}
	failed := make(chan error, 3)
	var following sync.WaitGroup
	follow := func(do func(ctx context.Context) error) {
		following.Go(func() { // ends with ctx; waited for below
			if err := do(ctx); err != nil && ctx.Err() == nil {
				failed <- err
			}
		})
	}
	follow(func(ctx context.Context) error { return watching.RunEmitter(ctx, t.message) })
	follow(func(ctx context.Context) error { return t.followSessions(ctx, c) })
	if t.every > 0 {
		follow(func(ctx context.Context) error { return t.followUsers(ctx, c) })
	}
	err := t.print(ctx, p, c.json, failed)
	stop()
	following.Wait()
	if t.lost > 0 {
		fmt.Fprintf(p.stderr, "fiberbridge: %d lines were dropped, because they came faster than they could be printed\n", t.lost)
	}
	return err
}

// add queues a line. It does not block.
func (t *tail) add(h happening) {
	h.Time = time.Now()
	select {
	case t.lines <- h:
	default:
		t.mu.Lock()
		t.lost++
		t.mu.Unlock()
	}
}

// print prints lines until ctx ends, --count lines are printed or following fails.
func (t *tail) print(ctx context.Context, p *program, asJSON bool, failed <-chan error) error {
	for n := 0; t.count == 0 || n < t.count; n++ {
		select {
		case h := <-t.lines:
			var err error
			if asJSON {
				err = printJSON(p.stdout, h)
			} else {
				_, err = fmt.Fprintln(p.stdout, h.text())
			}
			if err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (h happening) text() string {
	parts := []string{h.Time.Format("15:04:05.000"), fmt.Sprintf("%-11s", h.Kind)}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+value)
		}
	}
	add("", clean(h.Namespace))
	add("", clean(h.Event))
	add("to ", cleanAll(h.Rooms))
	add("except ", cleanAll(h.Except))
	add("rooms ", cleanAll(h.Targets))
	add("user ", clean(h.User))
	add("key ", h.Key)
	if h.Bytes > 0 {
		parts = append(parts, plural(h.Bytes, "byte", "bytes"))
	}
	for _, a := range h.Args {
		add("", clean(string(a)))
	}
	return strings.Join(parts, "  ")
}

// message is called for each message that the servers send each other.
func (t *tail) message(m *adapter.Message) {
	h := happening{Namespace: m.Namespace, Rooms: roomNames(m.Rooms), Except: roomNames(m.Except), Targets: roomNames(m.Targets)}
	switch m.Kind {
	case adapter.Broadcast:
		h.Kind = "broadcast"
	case adapter.Join:
		h.Kind = "join"
	case adapter.Leave:
		h.Kind = "leave"
	case adapter.Disconnect:
		h.Kind = "disconnect"
	case adapter.ServerSide:
		h.Kind = "server-side"
	default:
		h.Kind = "request"
	}
	if len(m.Payload.JSON) > 0 {
		h.Bytes = len(m.Payload.JSON)
		for _, b := range m.Payload.Attachments {
			h.Bytes += len(b)
		}
		var args []json.RawMessage
		if json.Unmarshal(m.Payload.JSON, &args) == nil && len(args) > 0 {
			if json.Unmarshal(args[0], &h.Event) != nil {
				h.Event = string(args[0]) // a number
			}
			if t.args {
				h.Args = args[1:]
			}
		}
	}
	t.add(h)
}

// roomNames shortens the names of the server's own rooms: those of users have a name that is not
// the user's ID, and those of sessions one that is not the session's ID.
func roomNames(rooms []string) []string {
	all := slices.Clone(rooms)
	for i, room := range all {
		all[i] = strings.TrimPrefix(room, "fiberbridge:")
	}
	return all
}

// followUsers reads which users are online, again and again.
func (t *tail) followUsers(ctx context.Context, c *cluster) error {
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	var before map[string]bool
	for {
		now := map[string]bool{}
		for user, err := range c.emitter().OnlineUsers(ctx) {
			if err != nil {
				return err
			}
			now[user] = true
		}
		if before != nil {
			for user := range now {
				if !before[user] {
					t.add(happening{Kind: "online", User: user})
				}
			}
			for user := range before {
				if !now[user] {
					t.add(happening{Kind: "offline", User: user})
				}
			}
		}
		before = now
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// followSessions receives the notices of changes of the sessions' storage, as package
// storage/redis publishes them: each key has a channel of its own.
func (t *tail) followSessions(ctx context.Context, c *cluster) error {
	onRedis, ok := c.store.(interface {
		Conn() goredis.UniversalClient
		Prefix() string
	})
	if !ok {
		return nil
	}
	prefix, suffix := onRedis.Prefix()+c.prefix+"s:", ":changes"
	if client, ok := onRedis.Conn().(*goredis.Client); ok && client.Options().DB != 0 {
		suffix += fmt.Sprint("@", client.Options().DB) // all databases of a server share its channels
	}
	sub := onRedis.Conn().PSubscribe(ctx, escapePattern.Replace(prefix)+"*"+suffix)
	defer func() { _ = sub.Close() }()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // a read does not end with ctx
	for {
		m, err := sub.ReceiveMessage(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			var refused goredis.Error
			if errors.As(err, &refused) {
				return fmt.Errorf("cannot follow the sessions: %w", err)
			}
			select { // go-redis connects again
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
		case strings.HasPrefix(m.Payload, "D"):
			t.add(happening{Kind: "session-end", Key: keyName(m.Channel)})
		}
	}
}

// escapePattern escapes the special characters of Redis patterns.
var escapePattern = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// keyName returns a name for a session's key, which contains a hash of its ID.
func keyName(channel string) string {
	sum := sha256.Sum256([]byte("fiberbridge tail\x00" + channel))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}
