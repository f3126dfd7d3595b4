package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

// site is one node.
type site struct {
	node     string
	app      *fiber.App
	sessions *fibersession.Store
	io       *socketbridge.Server
	history  History
	list     RoomList
	stopping atomic.Bool
}

// newSite wires the parts together: this is the page to read first. Nothing here asks
// how many nodes there are.
func newSite(cfg nodeConfig, store storage.Storage) (*site, error) {
	store = storage.Prefix(store, "chat:")
	list, err := newRoomList(store)
	if err != nil {
		return nil, err
	}
	s := &site{node: cfg.Name, history: History{store}, list: list}
	s.sessions = fibersession.New(fibersession.Config{
		Storage:    store,
		UserKey:    "user", // the session's value that says whose it is
		Expiration: 24 * time.Hour,
		Cookie:     fibersession.Cookie{Insecure: cfg.Insecure},
	})
	s.io = socketbridge.New(socketbridge.Config{
		Sessions: s.sessions,
		Adapter:  redisadapter.For(store), // none for memory://: then this node is all there is
	})

	config := fiber.Config{
		DisableStartupMessage: true,
		Immutable:             true, // what handlers take from a request may be kept
		BodyLimit:             1 << 20,
		ReadTimeout:           10 * time.Second,
		IdleTimeout:           75 * time.Second, // more than the proxy keeps idle connections to us
		ErrorHandler:          showError,
	}
	if cfg.Proxy != "" {
		config.EnableTrustedProxyCheck = true
		config.TrustedProxies = []string{cfg.Proxy}
		config.ProxyHeader = fiber.HeaderXForwardedFor
		config.EnableIPValidation = true
	}
	s.app = fiber.New(config)
	s.app.Get("/healthz", s.health) // the proxy's question, which needs no session
	s.app.Use(s.secure)
	s.app.Get("/assets/:version/:name", serveAsset)
	s.app.Use(s.sessions.Handler())
	s.app.Use(s.io.Handler()) // serves /socket.io/
	s.pages()
	s.live()
	return s, nil
}

// health tells the proxy whether to send people here.
func (s *site) health(c *fiber.Ctx) error {
	if s.stopping.Load() {
		return c.Status(fiber.StatusServiceUnavailable).SendString("stopping")
	}
	return c.SendString("ok")
}

// Shutdown ends the sockets, the app and the sessions.
func (s *site) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	return errors.Join(s.io.Shutdown(ctx), s.app.ShutdownWithContext(ctx), s.sessions.Close())
}
