package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

// clusterConfig is the configuration of one node of the cluster rows.
type clusterConfig struct {
	storage   string // URL
	sessions  fibersession.Config
	freshness fibersession.Freshness
	recovery  time.Duration                                // Recovery.Window
	wrap      func(storage.Storage) storage.Storage        // puts a layer around the storage of the sessions; nil for none
	joins     bool                                         // the node joins others: do not wait until it sees as many as are started with it
	started   func(n *clusterNode, p *socketbridge.Packet) // is called at the start of each handler; nil for none
}

// clusterNode is one node: an app with sessions, sockets and rooms, linked with the other nodes
// by Redis.
type clusterNode struct {
	store    storage.Storage
	sessions *fibersession.Store
	io       *socketbridge.Server
	app      *fiber.App
	addr     string
	stopping atomic.Bool
	served   chan error

	mu      sync.Mutex
	offline map[string]time.Time // users that OnPresence reported as offline on this node
}

// newClusterNode starts a node that listens on addr.
func newClusterNode(cfg clusterConfig, addr string) (*clusterNode, error) {
	store, err := storage.Open(cfg.storage)
	if err != nil {
		return nil, err
	}
	n := &clusterNode{store: store, served: make(chan error, 1), offline: map[string]time.Time{}}
	cfg.sessions.Storage = store
	if cfg.wrap != nil {
		cfg.sessions.Storage = cfg.wrap(store)
	}
	cfg.sessions.UserKey = "user"
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg.sessions.Logger = quiet
	n.sessions = fibersession.New(cfg.sessions)
	engine := engineio.ConfigDefault
	engine.Limits.MaxConnsPerIP, engine.Limits.ConnRatePerIP = -1, -1 // all clients have one address
	n.io = socketbridge.New(socketbridge.Config{
		Sessions:  n.sessions,
		Freshness: cfg.freshness,
		Adapter:   redisadapter.For(store, redisadapter.Config{Mode: redisadapter.Streams, Logger: quiet}),
		Recovery:  socketbridge.Recovery{Window: cfg.recovery},
		Engine:    engine,
		Logger:    quiet,
	})
	n.app = fiber.New(fiber.Config{
		DisableStartupMessage: true,
		BodyLimit:             1 << 20,
		ReadTimeout:           10 * time.Second,
		WriteTimeout:          30 * time.Second,
		IdleTimeout:           75 * time.Second,
	})
	n.addPages()
	n.addEvents(cfg.started)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(err, n.close(time.Second))
	}
	n.addr = ln.Addr().String()
	go func() { n.served <- n.app.Listener(ln) }() // ends at Shutdown
	return n, nil
}

func (n *clusterNode) addPages() {
	n.app.Get("/healthz", func(c *fiber.Ctx) error {
		if n.stopping.Load() {
			return c.SendStatus(fiber.StatusServiceUnavailable)
		}
		return c.SendString("ok")
	})
	n.app.Get("/sample", func(c *fiber.Ctx) error { return c.JSON(takeSample(n)) })
	n.app.Get("/offline", func(c *fiber.Ctx) error { // the users that this node reported, and how long ago
		n.mu.Lock()
		defer n.mu.Unlock()
		ago := map[string]int64{}
		for user, at := range n.offline {
			ago[user] = time.Since(at).Milliseconds()
		}
		return c.JSON(ago)
	})
	n.app.Use(func(c *fiber.Ctx) error {
		c.Locals("me", c.Cookies("me")) // a string backed by the request's buffer
		return c.Next()
	})
	n.app.Use(n.sessions.Handler())
	n.app.Use(n.io.Handler())
	n.app.Post("/login/:me", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if err := sess.Login(c.Params("me")); err != nil {
			return err
		}
		sess.Set("me", c.Params("me"))
		sess.Set("room", "room-"+c.Params("me")[:1])
		sess.Set("n", 0)
		return nil
	})
	n.app.Get("/who", func(c *fiber.Ctx) error { return c.SendString(text(fibersession.FromContext(c), "me")) })
	n.app.Get("/n", func(c *fiber.Ctx) error { return c.SendString(fmt.Sprint(fibersession.FromContext(c).Get("n"))) })
	n.app.Post("/touch", func(c *fiber.Ctx) error { // writes, so that the response may set a cookie
		sess := fibersession.FromContext(c)
		sess.Set("touched", time.Now().UnixNano())
		return c.SendString(text(sess, "me"))
	})
	n.app.Post("/incr", func(c *fiber.Ctx) error {
		sum, err := fibersession.FromContext(c).Incr("n", 1)
		if err != nil {
			return err
		}
		return c.SendString(strconv.Itoa(sum))
	})
	n.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
}

// text returns a string of the session that shares no memory with the request.
func text(g fibersession.Getter, key string) string {
	s, _ := fibersession.Value[string](g, key)
	return strings.Clone(s)
}

func (n *clusterNode) addEvents(started func(*clusterNode, *socketbridge.Packet)) {
	n.io.RequireSession()
	n.io.OnPresence(func(user string, online bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if online {
			delete(n.offline, user)
		} else {
			n.offline[strings.Clone(user)] = time.Now()
		}
	})
	n.io.OnConnection(func(s *socketbridge.Socket) {
		// The rooms are the session's, so that they are the same on every node.
		_ = s.Join(text(s.Session(), "room"))
		_ = s.Emit("hello", text(s.Session(), "me"))
	})
	events := map[string]socketbridge.Handler{
		"who": func(p *socketbridge.Packet) error { // each source of an identity has to name the same user
			return p.Ack(text(p.Session(), "me"), p.Socket().User(), p.Socket().Handshake().Cookies["me"], p.Socket().Handshake().Locals["me"])
		},
		"incr": func(p *socketbridge.Packet) error {
			sum, err := p.Session().Incr(p.Context(), "n", 1)
			if err != nil {
				return err
			}
			return p.Ack(sum)
		},
		"tell": func(p *socketbridge.Packet) error { // to the own session, on all nodes
			var value string
			if err := p.Bind(&value); err != nil {
				return err
			}
			if err := p.Socket().ToUser(text(p.Session(), "me")).Emit("private", text(p.Session(), "me"), value); err != nil {
				return err
			}
			return p.Ack(true)
		},
		"say": func(p *socketbridge.Packet) error { // to the room, on all nodes, this socket included
			var value string
			if err := p.Bind(&value); err != nil {
				return err
			}
			if err := n.io.To(text(p.Session(), "room")).Emit("said", text(p.Session(), "room"), value); err != nil {
				return err
			}
			return p.Ack(true)
		},
	}
	for name, handle := range events {
		n.io.On(name, func(p *socketbridge.Packet) error {
			if started != nil {
				started(n, p)
			}
			return handle(p)
		})
	}
}

// close stops the node. It waits for requests, sockets and the handlers of OnPresence for up to
// the given time.
func (n *clusterNode) close(within time.Duration) error {
	n.stopping.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	err := errors.Join(n.io.Shutdown(ctx), n.app.ShutdownWithContext(ctx), n.sessions.Close(), n.store.Close())
	if n.addr != "" {
		err = errors.Join(err, <-n.served)
	}
	return err
}

// startClusterNodes starts nodes in this process.
func startClusterNodes(t *testing.T, count int, cfg clusterConfig) []*clusterNode {
	t.Helper()
	all := make([]*clusterNode, count)
	for i := range all {
		n, err := newClusterNode(cfg, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.close(20 * time.Second); err != nil {
				t.Errorf("stopping node %s: %v", n.addr, err)
			}
		})
		all[i] = n
	}
	waitUntil(t, "the nodes to see each other", func() bool {
		got, err := all[0].io.Nodes(t.Context())
		return err == nil && (got == count || cfg.joins)
	})
	return all
}

// waitUntil polls for up to a minute.
func waitUntil(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// clusterSample is what a node says about itself.
type clusterSample struct {
	RSS        int64 // bytes
	Heap       int64 // bytes in use after a collection
	Goroutines int
	Files      int // descriptors
	Sockets    int
	States     int // sessions in memory
	Notices    map[string]uint64
}

// takeSample collects garbage and returns the free memory to the system first, so that two samples can be compared.
func takeSample(n *clusterNode) clusterSample {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := clusterSample{
		Heap:       int64(m.HeapInuse),
		Goroutines: runtime.NumGoroutine(),
		Sockets:    len(n.io.Sockets()),
		States:     n.sessions.Stats().States,
		Notices:    n.sessions.Stats().Notices,
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				v, _ := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
				s.RSS = v << 10
			}
		}
	}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		s.Files = len(files)
	}
	return s
}
