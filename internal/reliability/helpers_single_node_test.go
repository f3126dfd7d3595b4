package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

// soloNode is an app with sessions in memory and sockets, with the timeouts of
// examples/quickstart. POST /login stores a session and answers with its cookie.
type soloNode struct {
	addr     string // "host:port"
	app      *fiber.App
	sessions *fibersession.Store
	io       *socketbridge.Server
	store    storage.Storage
	listener net.Listener
	served   chan struct{} // closed when the app serves no more
}

// newSoloNode creates a node. It answers after serve.
func newSoloNode(config socketbridge.Config) (*soloNode, error) {
	store, err := storage.Open("memory://")
	if err != nil {
		return nil, err
	}
	silent := slog.New(slog.DiscardHandler)
	n := &soloNode{store: store, served: make(chan struct{})}
	n.sessions = fibersession.New(fibersession.Config{Storage: store, Logger: silent})
	config.Sessions, config.Logger = n.sessions, silent
	n.io = socketbridge.New(config)
	n.app = fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ReadTimeout:           10 * time.Second,
		IdleTimeout:           60 * time.Second,
	})
	n.app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond // R16 counts the goroutines that are left
	n.app.Use(n.sessions.Handler(), n.io.Handler())
	n.app.Post("/login", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("name", "ann")
		return nil
	})
	if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	n.addr = n.listener.Addr().String()
	return n, nil
}

// serve starts to answer requests.
func (n *soloNode) serve() {
	go func() { // close waits for it
		defer close(n.served)
		_ = n.app.Listener(n.listener)
	}()
}

func (n *soloNode) url() string { return "http://" + n.addr }

// close shuts the node down. It may be called again.
func (n *soloNode) close(ctx context.Context) error {
	err := errors.Join(n.io.Shutdown(ctx), n.app.ShutdownWithContext(ctx))
	<-n.served
	return errors.Join(err, n.sessions.Close(), n.store.Close())
}

// startSoloNode creates a node that ends with the test. setUp adds its routes and events.
func startSoloNode(t *testing.T, config socketbridge.Config, setUp func(n *soloNode)) *soloNode {
	t.Helper()
	n, err := newSoloNode(config)
	if err != nil {
		t.Fatal(err)
	}
	setUp(n)
	n.serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := n.close(ctx); err != nil {
			t.Errorf("the node did not shut down: %v", err)
		}
	})
	return n
}

// login returns the cookie of a new stored session.
func login(c *http.Client, url string) (string, error) {
	res, err := c.Post(url+"/login", "", nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	cookie, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	if cookie == "" {
		err = errors.Join(err, fmt.Errorf("POST /login was answered with %s and no cookie", res.Status))
	}
	return cookie, err
}

// mustWaitFor polls until check returns "". Any other result is what is still missing.
func mustWaitFor(t *testing.T, limit time.Duration, event string, check func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		missing := check()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v until %s: %s", limit, event, missing)
		}
		time.Sleep(5 * time.Millisecond) // there is no notification to wait for
	}
}

// percentile returns the value below which the part p (0 to 1) of all values is. It sorts all.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(p*float64(len(all))))]
}
