package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

// site is the whole program: who is there, what they said, and the two ways in.
type site struct {
	app      *fiber.App
	sessions *fibersession.Store
	io       *socketbridge.Server

	users    *Users
	friends  *Friends
	comments *Comments
	present  Present

	perUser, perNet, signUps Attempts // per name and network, per network
	says, asks               Attempts // per user
}

// newSite wires the parts together: this is the page to read first.
func newSite(cfg Config, store storage.Storage, db *sql.DB) (*site, error) {
	passwords, err := NewPasswords(hashWait)
	if err != nil {
		return nil, err
	}
	s := &site{
		users:    &Users{db, passwords},
		friends:  &Friends{db},
		comments: &Comments{db},
		perUser:  Attempts{Limit: signInsPerUser, Window: signInWindow},
		perNet:   Attempts{Limit: signInsPerNet, Window: signInWindow},
		signUps:  Attempts{Limit: signUpsPerNet, Window: signInWindow},
		says:     Attempts{Limit: saysPerMinute, Window: time.Minute},
		asks:     Attempts{Limit: asksPerMinute, Window: time.Minute},
	}
	s.sessions = fibersession.New(fibersession.Config{
		Storage:         store,
		Prefix:          "dashboard:",
		UserKey:         "user", // the session's value that says whose it is
		Expiration:     memberIdle,
		Timeouts: fibersession.Timeouts{Absolute: memberLife},
		Cookie: fibersession.Cookie{Insecure:        cfg.Insecure},
	})
	s.io = socketbridge.New(socketbridge.Config{Sessions: s.sessions})

	config := fiber.Config{
		DisableStartupMessage: true,
		Immutable:             true, // what handlers take from a request may be kept
		BodyLimit:             2 << 20,
		ReadTimeout:           10 * time.Second,
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
	s.app.Use(secure)
	s.app.Get("/assets/:version/:name", serveAsset)
	s.app.Use(s.sessions.Handler())
	s.app.Use(s.io.Handler()) // serves /socket.io/
	s.pages()
	s.live()
	return s, nil
}

// pages are what a browser loads, and the forms on them.
func (s *site) pages() {
	s.app.Get("/", s.dashboard)
	s.app.Get("/login", s.loginPage)
	s.app.Get("/signup", s.signUpPage)
	s.app.Post("/login", s.sameForm, s.logIn)
	s.app.Post("/signup", s.sameForm, s.signUp)
	s.app.Post("/logout", s.sameForm, s.logOut)
	s.app.Post("/logout/everywhere", s.sameForm, s.logOutEverywhere)
}

// Shutdown ends the sockets and then the app.
func (s *site) Shutdown(ctx context.Context) error {
	return errors.Join(s.io.Shutdown(ctx), s.app.ShutdownWithContext(ctx))
}
