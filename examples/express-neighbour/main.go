// Express-neighbour runs an Express app and a Fiber app behind one hostname, with one
// login. The Express app (server.js) existed first. Fiber runs in front of it, serves the
// page and the sockets, and proxies /express/ to it. Both keep sessions in the same Redis
// and use the same signed cookie.
//
//	go run ./examples/express-neighbour   # starts both, and a Redis
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/proxy"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

//go:embed index.html
var page []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, env("ADDR", "127.0.0.1:3000")); err != nil {
		log.Fatal(err)
	}
}

// run starts Redis and Express unless the environment names running ones, and serves Fiber
// until ctx is canceled.
func run(ctx context.Context, addr string) (err error) {
	ln, err := listen(addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	secrets := env("SESSION_SECRETS", "only for trying out: set SESSION_SECRETS")
	n, err := startNeighbours(ctx, secrets)
	if err != nil {
		return err
	}
	defer n.stop()
	store, err := storage.Open(n.redis)
	if err != nil {
		return err
	}
	defer store.Close()
	app, io := newApp(store, config{secrets: strings.Split(secrets, ","), express: n.express})

	go func() { // shuts down on Ctrl-C, which makes Listener return
		<-ctx.Done()
		timeout, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = io.Shutdown(timeout)
		_ = app.ShutdownWithContext(timeout)
		_ = ln.Close() // ends Listener also if it has not begun
	}()

	fmt.Printf("Open http://%s in two tabs\n", ln.Addr())
	return app.Listener(ln)
}

// listen listens at addr. If another program uses the port, the error says what to do.
func listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: if another program uses this port, stop it, or choose another port, such as ADDR=127.0.0.1:4000: %w", addr, err)
	}
	return ln, nil
}

type config struct {
	secrets []string // the same as in server.js, in the same order
	express string   // the URL of the Express app
}

// newApp returns the Fiber app and its socket server.
func newApp(store storage.Storage, cfg config) (*fiber.App, *socketbridge.Server) {
	sessions := fibersession.New(fibersession.Config{
		Storage: store,
		Express: &fibersession.Express{Secrets: cfg.secrets},
		UserKey: "user",
		// Express does not notify Fiber of changes: look for them every second.
		Tracking: fibersession.Tracking{Recheck: time.Second},
	})
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ReadTimeout:           10 * time.Second,
		IdleTimeout:           60 * time.Second,
		WriteTimeout:          30 * time.Second,
		// No proxy is trusted: c.Protocol and c.Hostname ignore the headers that a browser can send.
		EnableTrustedProxyCheck: true,
	})
	io.LimitBodies(app)
	app.All("/express/*", proxyTo(cfg.express)) // before sessions.Handler: Express handles its own sessions
	app.Use(sessions.Handler())
	app.Use(io.Handler()) // serves /socket.io/
	addRoutes(app)
	addEvents(io)
	return app, io
}

// proxyTo forwards requests to the server at url.
func proxyTo(url string) fiber.Handler {
	client := &fasthttp.Client{
		NoDefaultUserAgentHeader: true,
		DisablePathNormalizing:   true,
		// Node closes a connection that was idle for 5 s. By default the client would reuse it
		// for 10 s, and a POST that meets the close cannot be repeated.
		MaxIdleConnDuration: 3 * time.Second,
	}
	return func(c *fiber.Ctx) error {
		// Overwrite these headers: a browser could send false ones.
		c.Request().Header.Set(fiber.HeaderXForwardedFor, c.IP())
		c.Request().Header.Set(fiber.HeaderXForwardedProto, c.Protocol())
		c.Request().Header.Set(fiber.HeaderXForwardedHost, c.Hostname())
		if err := proxy.DoTimeout(c, url+c.OriginalURL(), 10*time.Second, client); err != nil {
			log.Printf("no answer from Express at %s: %v", url, err)
			return fiber.NewError(fiber.StatusBadGateway, "The Express app is not responding. Please try again in a moment.")
		}
		return nil
	}
}

// addRoutes adds the page and its HTTP calls. Express serves the same calls under /express.
func addRoutes(app *fiber.App) {
	app.Get("/", func(c *fiber.Ctx) error {
		// Storing a value saves the session. The browser then has a cookie, and the
		// session's sockets are disconnected when an Express login replaces the session.
		if _, err := fibersession.FromContext(c).Incr("views", 1); err != nil {
			return err
		}
		return c.Type("html", "utf-8").Send(page)
	})
	app.Get("/fiber/me", func(c *fiber.Ctx) error {
		return sendMe(c, fibersession.FromContext(c))
	})
	app.Post("/fiber/login", func(c *fiber.Ctx) error {
		var in struct{ Name string }
		if err := c.BodyParser(&in); err != nil || in.Name == "" || utf8.RuneCountInString(in.Name) > 40 {
			return fiber.NewError(fiber.StatusBadRequest, "Enter a name of 1 to 40 characters.")
		}
		sess := fibersession.FromContext(c)
		if err := sess.Login(strings.Clone(in.Name)); err != nil { // a real app asks for a password first
			return err
		}
		return sendMe(c, sess)
	})
	app.Post("/fiber/logout", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Destroy()
	})
	app.Post("/fiber/count", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if _, err := sess.Incr("count", 1); err != nil {
			return err
		}
		return sendMe(c, sess)
	})
}

// sendMe answers with what both apps show of the session.
func sendMe(c *fiber.Ctx, sess *fibersession.Session) error {
	m, err := meOf(sess)
	if err != nil {
		return err
	}
	return c.JSON(m)
}

// addEvents adds the socket handlers. The page receives the session's user and count when
// it connects, and again whenever Fiber or Express changes the session.
func addEvents(io *socketbridge.Server) {
	emitMe := func(s *socketbridge.Socket) {
		if m, err := meOf(s.Session()); err == nil {
			_ = s.Emit("me", m)
		}
	}
	io.OnConnection(emitMe)
	io.OnSessionChange(func(s *socketbridge.Socket, _ []string) { emitMe(s) })
	io.On("count", func(p *socketbridge.Packet) error {
		_, err := p.Session().Incr(p.Context(), "count", 1)
		if errors.Is(err, fibersession.ErrNotInteger) {
			return p.Ack("The count is not an integer.")
		}
		return err
	})
}

// me is the part of the session that both apps show.
type me struct {
	User  string `json:"user"`
	Count int    `json:"count"`
}

func meOf(s interface {
	fibersession.Getter
	User() string
}) (me, error) {
	count, err := fibersession.Value[int](s, "count")
	return me{s.User(), count}, err
}

func env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
