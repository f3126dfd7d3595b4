package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/fibersession/csrf"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

// server is the whole site: its data, its pages and its sockets.
type server struct {
	app      *fiber.App
	sessions *fibersession.Store
	io       *socketbridge.Server

	users    *Users
	friends  *Friends
	comments *Comments
	online   OnlineUsers

	loginsPerName, loginsPerNetwork, signUpsPerNetwork Limiter
	commentsPerUser, requestsPerUser                   Limiter
}

// newServer connects the parts. Read this function first.
func newServer(cfg Config, store storage.Storage, db *sql.DB) (*server, error) {
	passwords, err := NewPasswords(hashWait)
	if err != nil {
		return nil, err
	}
	s := &server{
		users:             &Users{db, passwords},
		friends:           &Friends{db},
		comments:          &Comments{db},
		loginsPerName:     Limiter{Limit: loginsPerName, Window: loginWindow},
		loginsPerNetwork:  Limiter{Limit: loginsPerNetwork, Window: loginWindow},
		signUpsPerNetwork: Limiter{Limit: signUpsPerNetwork, Window: loginWindow},
		commentsPerUser:   Limiter{Limit: commentsPerMinute, Window: time.Minute},
		requestsPerUser:   Limiter{Limit: requestsPerMinute, Window: time.Minute},
	}
	s.sessions = fibersession.New(fibersession.Config{
		Storage:    store,
		Prefix:     "dashboard:",
		UserKey:    "user", // the session value that holds the user's ID
		Expiration: userIdle,
		Timeouts:   fibersession.Timeouts{Absolute: userLifetime},
	})
	s.io = socketbridge.New(socketbridge.Config{Sessions: s.sessions})

	config := fiber.Config{
		DisableStartupMessage: true,
		Immutable:             true, // handlers may keep strings from the request
		BodyLimit:             2 << 20,
		ReadTimeout:           10 * time.Second,
		WriteTimeout:          30 * time.Second,
		IdleTimeout:           time.Minute,
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
	s.app.Get("/healthz", s.io.ReadyHandler()) // for a load balancer, before the session middleware
	s.app.Use(securityHeaders)
	s.app.Get("/assets/:version/:name", serveAsset)
	s.app.Use(s.sessions.Handler())
	s.app.Use(s.io.Handler()) // serves /socket.io/
	s.addPages()
	s.addEvents()
	return s, nil
}

// addPages adds the pages and the forms on them.
func (s *server) addPages() {
	s.app.Get("/", s.dashboard)
	s.app.Get("/login", s.loginPage)
	s.app.Get("/signup", s.signUpPage)
	checkCSRF := csrf.New(csrf.Config{ErrorHandler: s.rejectToken})
	s.app.Post("/login", checkCSRF, s.logIn)
	s.app.Post("/signup", checkCSRF, s.signUp)
	s.app.Post("/logout", checkCSRF, s.logOut)
	s.app.Post("/logout/everywhere", checkCSRF, s.logOutEverywhere)
}

// Shutdown closes the sockets and then the app.
func (s *server) Shutdown(ctx context.Context) error {
	return errors.Join(s.io.Shutdown(ctx), s.app.ShutdownWithContext(ctx))
}
