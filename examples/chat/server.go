package main

import (
	"context"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/inspector"
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
		Timeouts:   fibersession.Timeouts{Storage: cfg.StorageTimeout},
	})
	s.io = socketbridge.New(socketbridge.Config{
		Sessions: s.sessions,
		// Links nodes that share a Redis; nil for memory. Streams keep events for a while, so
		// that a page that reconnects to another node gets those that it missed.
		Adapter:  redisadapter.For(store, redisadapter.Config{Mode: redisadapter.Streams}),
		Recovery: socketbridge.Recovery{Window: 2 * time.Minute},
		Drain:    cfg.Drain,
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
	s.app.Get("/healthz", s.io.ReadyHandler()) // the proxy's health check, before the session middleware
	s.app.Use(s.securityHeaders)
	s.app.Get("/assets/:version/:name", serveAsset)
	s.app.Use(s.sessions.Handler())
	s.app.Use(s.io.Handler()) // serves /socket.io/
	if cfg.InspectorPassword != "" {
		s.app.Use("/inspector", inspector.New(inspector.Config{Bridge: s.io, Authorize: administrator(cfg.InspectorPassword)}))
	}
	s.addPages()
	s.addEvents()
	return s, nil
}

// Shutdown sends the sockets away, and then closes the app and the session store.
func (s *server) Shutdown(ctx context.Context) error {
	return errors.Join(s.io.Shutdown(ctx), s.app.ShutdownWithContext(ctx), s.sessions.Close())
}
