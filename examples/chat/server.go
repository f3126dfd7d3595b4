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

// server is one node of the chat.
type server struct {
	node     string // the node's label
	app      *fiber.App
	sessions *fibersession.Store
	io       *socketbridge.Server
	history  History
	list     RoomList
	stopping atomic.Bool
}

// newServer connects the parts. Read this function first. Nothing in it depends on the
// number of nodes.
func newServer(cfg nodeConfig, store storage.Storage) (*server, error) {
	store = storage.Prefix(store, "chat:")
	list, err := newRoomList(store)
	if err != nil {
		return nil, err
	}
	s := &server{node: cfg.Name, history: History{store}, list: list}
	s.sessions = fibersession.New(fibersession.Config{
		Storage:    store,
		UserKey:    "user", // the session value that holds the user's ID
		Expiration: 24 * time.Hour,
	})
	s.io = socketbridge.New(socketbridge.Config{
		Sessions: s.sessions,
		Adapter:  redisadapter.For(store), // links nodes that share a Redis; nil for memory
	})

	config := fiber.Config{
		DisableStartupMessage: true,
		Immutable:             true, // handlers may keep strings from the request
		BodyLimit:             1 << 20,
		ReadTimeout:           10 * time.Second,
		WriteTimeout:          30 * time.Second,
		IdleTimeout:           75 * time.Second, // longer than the proxy keeps an idle connection
		ErrorHandler:          showError,
	}
	if cfg.Proxy != "" {
		config.EnableTrustedProxyCheck = true
		config.TrustedProxies = []string{cfg.Proxy}
		config.ProxyHeader = fiber.HeaderXForwardedFor
		config.EnableIPValidation = true
	}
	s.app = fiber.New(config)
	s.io.LimitBodies(s.app)
	s.app.Get("/healthz", s.health) // the proxy's health check, before the session middleware
	s.app.Use(s.securityHeaders)
	s.app.Get("/assets/:version/:name", serveAsset)
	s.app.Use(s.sessions.Handler())
	s.app.Use(s.io.Handler()) // serves /socket.io/
	s.addPages()
	s.addEvents()
	return s, nil
}

// health answers the proxy's health check. A node that is stopping reports itself as down.
func (s *server) health(c *fiber.Ctx) error {
	if s.stopping.Load() {
		return c.Status(fiber.StatusServiceUnavailable).SendString("stopping")
	}
	return c.SendString("ok")
}

// Shutdown closes the sockets, the app and the session store.
func (s *server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	return errors.Join(s.io.Shutdown(ctx), s.app.ShutdownWithContext(ctx), s.sessions.Close())
}
