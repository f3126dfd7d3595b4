// Package clustertest starts a cluster for tests: Redis, servers of this module with sessions and
// users, and a Socket.IO server for Node. Only tests import it.
package clustertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

// Timeout bounds each wait. A machine that does nothing else needs far less.
const Timeout = 60 * time.Second

// Options configure a Cluster.
type Options struct {
	// Adapter is the configuration of the servers of this module.
	Adapter redisadapter.Config
	// Node is the server for Node that fits Adapter; nil means none. Its Redis is set.
	Node *nodetest.ClusterOptions
	// Prefix is put before all names in Redis. It must be empty with a Node.
	Prefix string
}

// Cluster is two servers of this module and one for Node. They have the namespaces / and /chat.
// A client joins the rooms of its auth option, {"rooms":[…]}, and then receives "ready".
type Cluster struct {
	Redis *redistest.Server
	// URL is the URL of the storage.
	URL     string
	Driver  *nodetest.Node
	Servers []*Server
	Node    *nodetest.ClusterServer // nil without Options.Node
}

// Server is a server of this module.
type Server struct {
	URL      string
	IO       *socketbridge.Server
	Sessions *fibersession.Store
}

// Start starts a cluster and waits until its servers count each other.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := &Cluster{Redis: redistest.Start(t)} // before Node, whose redis clients fail when it ends
	c.URL = c.Redis.URL()
	if o.Prefix != "" {
		c.URL += "?prefix=" + o.Prefix
	}
	c.Driver = nodetest.Start(t)
	if o.Node != nil {
		node := *o.Node
		node.Redis = c.Redis.URL()
		c.Node = c.Driver.Cluster(t, node)
	}
	for range 2 {
		c.Servers = append(c.Servers, c.startServer(t, o.Adapter))
	}
	c.WaitFor(t, "the servers to count each other", func() string {
		if got := c.Counts(t); got != c.AllCounts() {
			return got
		}
		return ""
	})
	return c
}

func (c *Cluster) startServer(t testing.TB, cfg redisadapter.Config) *Server {
	t.Helper()
	store := storage.MustOpen(c.URL)
	silent := slog.New(slog.DiscardHandler)
	cfg.Logger = silent
	s := &Server{Sessions: fibersession.New(fibersession.Config{Storage: store, UserKey: "user", Logger: silent})}
	s.IO = socketbridge.New(socketbridge.Config{
		Sessions: s.Sessions, Adapter: redisadapter.For(store, cfg), Logger: silent,
		Timeouts: socketbridge.Timeouts{Request: Timeout}, Presence: socketbridge.Presence{Grace: -1},
	})
	for _, name := range []string{"/", "/chat"} {
		s.IO.Of(name).OnConnection(func(k *socketbridge.Socket) {
			var auth struct{ Rooms []string }
			err := errors.Join(k.Auth(&auth), k.Join(auth.Rooms...), k.Emit("ready"))
			if err != nil && !errors.Is(err, socketbridge.ErrDisconnected) {
				t.Error(err)
			}
		})
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond // the worker pool's goroutine outlives the server by this time
	app.Use(s.Sessions.Handler(), s.IO.Handler())
	app.Post("/login/:user", func(f *fiber.Ctx) error { return fibersession.FromContext(f).Login(f.Params("user")) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + ln.Addr().String()
	go func() { _ = app.Listener(ln) }() // ends with ShutdownWithContext, below
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Timeout)
		defer cancel()
		if err := errors.Join(s.IO.Shutdown(ctx), app.ShutdownWithContext(ctx), s.Sessions.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Login logs a user in on a server, and returns the Cookie header.
func (c *Cluster) Login(t testing.TB, server int, user string) string {
	t.Helper()
	resp, err := http.Post(c.Servers[server].URL+"/login/"+user, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if len(resp.Cookies()) != 1 {
		t.Fatalf("login returned status %d and %d cookies, want one", resp.StatusCode, len(resp.Cookies()))
	}
	return resp.Cookies()[0].Name + "=" + resp.Cookies()[0].Value
}

// URLOf returns the address of a server: of Servers, or for len(Servers) of Node.
func (c *Cluster) URLOf(server int) string {
	if server < len(c.Servers) {
		return c.Servers[server].URL
	}
	return c.Node.URL
}

// Connect connects a client to a server (see URLOf) and waits until it has joined the rooms.
func (c *Cluster) Connect(t testing.TB, server int, namespace, cookie string, rooms ...string) *nodetest.Client {
	t.Helper()
	client := c.Driver.Dial(t, c.URLOf(server)+cmp.Or(namespace, "/"), nodetest.Options{Cookie: cookie, Auth: map[string]any{"rooms": append([]string{}, rooms...)}})
	Next(t, client, "ready")
	return client
}

// Next waits for an event.
func Next(t testing.TB, client *nodetest.Client, event string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	args, err := client.Next(ctx, event)
	if err != nil {
		t.Fatalf("no event %s: %v", event, err)
	}
	return args.String()
}

// Counts returns how many nodes each server counts in /.
func (c *Cluster) Counts(t testing.TB) string {
	t.Helper()
	text := ""
	for _, s := range c.Servers {
		n, err := s.IO.Nodes(t.Context())
		text += fmt.Sprint(n, " ")
		if err != nil {
			text += err.Error()
		}
	}
	if c.Node != nil {
		var n int
		c.Node.Run(t, "/", "return await nsp.adapter.serverCount()", &n)
		text += fmt.Sprint(n, " ")
	}
	return text
}

// AllCounts is what Counts returns if each server counts all servers and nothing else.
func (c *Cluster) AllCounts() (text string) {
	n := len(c.Servers)
	if c.Node != nil {
		n++
	}
	for range n {
		text += fmt.Sprint(n, " ")
	}
	return text
}

// WaitFor waits until missing returns "".
func (c *Cluster) WaitFor(t testing.TB, what string, missing func() string) {
	t.Helper()
	deadline := time.Now().Add(Timeout)
	for {
		why := missing()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %s", what, why)
		}
		time.Sleep(10 * time.Millisecond) // there is no notification
	}
}
