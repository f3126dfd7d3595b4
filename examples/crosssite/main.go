// Crosssite serves sockets at one origin and the page that uses them at three others:
// the first receives the session cookie, the second needs a ticket, the third is rejected.
//
//	go run ./examples/crosssite   # then open http://127.0.0.1:3001
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

//go:embed index.html
var index string

var page = template.Must(template.New("index").Parse(index))

func main() {
	sockets, err := listen("ADDR", "127.0.0.1:3000")
	if err != nil {
		log.Fatal(err)
	}
	pages, err := listen("PAGES", "127.0.0.1:3001")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("Open http://%s and follow its links\n", pages.Addr())
	if err := serve(ctx, sockets, pages); err != nil {
		log.Fatal(err)
	}
}

// listen listens at the address in an environment variable. If another program uses the port,
// the error says what to do.
func listen(variable, def string) (net.Listener, error) {
	addr := env(variable, def)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: if another program uses this port, stop it, or choose another port, such as %s=127.0.0.1:4000: %w", addr, variable, err)
	}
	return ln, nil
}

// origins are the URLs of the socket server and of the page under its three hostnames.
type origins struct{ Sockets, SameSite, CrossSite, Unlisted string }

// serve runs both apps until ctx is canceled or one of them fails.
func serve(ctx context.Context, socketsAt, pagesAt net.Listener) error {
	_, port, _ := net.SplitHostPort(pagesAt.Addr().String())
	o := origins{
		Sockets:   "http://" + socketsAt.Addr().String(),
		SameSite:  "http://127.0.0.1:" + port, // same host: cookies ignore the port
		CrossSite: "http://localhost:" + port, // different host: the cookie is not sent
		Unlisted:  "http://stranger.localhost:" + port,
	}
	sessions := fibersession.New()
	io := socketbridge.New(socketbridge.Config{
		Sessions: sessions,
		Engine:   engineio.Config{AllowOrigins: []string{o.SameSite, o.CrossSite}},
	})
	sockets, pages := newSocketApp(sessions, io), newPageApp(sessions, io, o)

	ended := make(chan error, 2) // received below
	go func() { ended <- sockets.Listener(socketsAt) }()
	go func() { ended <- pages.Listener(pagesAt) }()
	var err error
	running := 2
	select {
	case <-ctx.Done():
	case err = <-ended:
		running--
	}
	timeout, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = io.Shutdown(timeout)
	_ = sockets.ShutdownWithContext(timeout)
	_ = pages.ShutdownWithContext(timeout)
	_, _ = socketsAt.Close(), pagesAt.Close() // Shutdown does not end an app that has not begun to serve
	for range running {
		err = errors.Join(err, <-ended)
	}
	_ = sessions.Close()
	return err
}

// newSocketApp returns the app that serves the sockets. It has no pages.
func newSocketApp(sessions *fibersession.Store, io *socketbridge.Server) *fiber.App {
	app := newApp(io)
	app.Use(sessions.Handler())
	app.Use(io.Handler()) // serves /socket.io/
	io.On("whoami", func(p *socketbridge.Packet) error {
		visitor, err := fibersession.Value[string](p.Session(), "visitor")
		if err != nil {
			return err
		}
		return p.Ack(visitor)
	})
	return app
}

// newPageApp returns the app that serves the page. It shares the session store, sets a
// session cookie for each hostname, and issues tickets for the page's session.
func newPageApp(sessions *fibersession.Store, io *socketbridge.Server, o origins) *fiber.App {
	app := newApp(io)
	app.Use(sessions.Handler())
	app.Post("/socket.io/ticket", io.TicketHandler()) // connectWithSession requests its ticket here
	app.Get("/", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if sess.Get("visitor") == nil {
			sess.Set("visitor", names[rand.IntN(len(names))])
		}
		c.Type("html", "utf-8")
		return page.Execute(c, map[string]any{
			"Origins": o, "Script": o.Sockets + io.ScriptURL("module"), "Here": c.BaseURL(), "Visitor": sess.Get("visitor"),
		})
	})
	return app
}

func newApp(io *socketbridge.Server) *fiber.App {
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ReadTimeout:           10 * time.Second,
		IdleTimeout:           60 * time.Second,
		WriteTimeout:          30 * time.Second,
	})
	io.LimitBodies(app)
	return app
}

var names = []string{"Amber", "Birch", "Cobalt", "Dune", "Ember", "Fern", "Grove", "Hazel", "Indigo", "Juniper", "Lake", "Moss"}

func env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
