// Express-neighbour: an Express app and a Fiber app behind one hostname, with one login.
// Express (server.js) is what there was; Fiber stands in front of it, serves the page and
// the live part, and passes on what it does not serve itself. Both keep sessions in the
// same Redis, under the same signed cookie.
//
//	npm ci && node server.js   # Express, on port 3001
//	go run .                   # Fiber, on port 3000: open http://127.0.0.1:3000 in two tabs
package main

import (
	"context"
	_ "embed"
	"errors"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/proxy"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

//go:embed index.html
var page []byte

func main() {
	store, err := storage.Open(env("REDIS_URL", "redis://127.0.0.1:6379/0"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	app, io := newApp(store, config{
		secrets: strings.Split(env("SESSION_SECRETS", "only for trying out: set SESSION_SECRETS"), ","),
		express: env("EXPRESS_URL", "http://127.0.0.1:3001"),
	})

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // main waits for Listen, which this ends
		<-ctx.Done()
		timeout, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = io.Shutdown(timeout)
		_ = app.ShutdownWithContext(timeout)
	}()

	addr := env("ADDR", "127.0.0.1:3000")
	log.Printf("open http://%s in two tabs", addr)
	if err := app.Listen(addr); err != nil {
		log.Fatal(err)
	}
}

type config struct {
	secrets []string // the same, in the same order, as in server.js
	express string   // where Express listens
}

// newApp is the Fiber app.
func newApp(store storage.Storage, cfg config) (*fiber.App, *socketbridge.Server) {
	sessions := fibersession.New(fibersession.Config{
		Storage: store,
		Express: &fibersession.Express{Secrets: cfg.secrets},
		Tracking: fibersession.Tracking{Recheck: time.Second}, // how soon sockets hear of what Express did, with nothing said
		UserKey: "user",
	})
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ReadTimeout:           10 * time.Second,
		IdleTimeout:           60 * time.Second,
	})
	app.All("/express/*", passOn(cfg.express)) // before the sessions: these are Express' requests
	app.Use(sessions.Handler())
	app.Use(io.Handler()) // serves /socket.io/
	overHTTP(app)
	live(io)
	return app, io
}

// passOn has another server answer.
func passOn(to string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		// What Express is told of the browser is what is seen here, not what the browser says.
		c.Request().Header.Set(fiber.HeaderXForwardedFor, c.IP())
		c.Request().Header.Set(fiber.HeaderXForwardedProto, c.Protocol())
		c.Request().Header.Set(fiber.HeaderXForwardedHost, c.Hostname())
		if err := proxy.DoTimeout(c, to+c.OriginalURL(), 10*time.Second); err != nil {
			return fiber.NewError(fiber.StatusBadGateway, "Express does not answer. Is `node server.js` running?")
		}
		return nil
	}
}

// overHTTP is what the page asks of Fiber. Express has the same under /express.
func overHTTP(app *fiber.App) {
	app.Get("/", func(c *fiber.Ctx) error {
		// Stored, so that it has a cookie, and that sockets hear when Express ends it at a login.
		if _, err := fibersession.FromContext(c).Incr("views", 1); err != nil {
			return err
		}
		return c.Type("html", "utf-8").Send(page)
	})
	app.Get("/fiber/me", func(c *fiber.Ctx) error {
		return c.JSON(meOf(fibersession.FromContext(c)))
	})
	app.Post("/fiber/login", func(c *fiber.Ctx) error {
		var in struct{ Name string }
		if err := c.BodyParser(&in); err != nil || in.Name == "" || len(in.Name) > 40 {
			return fiber.NewError(fiber.StatusBadRequest, "a name of 1 to 40 bytes")
		}
		sess := fibersession.FromContext(c)
		if err := sess.Login(strings.Clone(in.Name)); err != nil { // a real app asks for a password first
			return err
		}
		return c.JSON(meOf(sess))
	})
	app.Post("/fiber/logout", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Destroy()
	})
	app.Post("/fiber/count", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if _, err := sess.Incr("count", 1); err != nil {
			return err
		}
		return c.JSON(meOf(sess))
	})
}

// live is what the page hears, and says, over its socket.
func live(io *socketbridge.Server) {
	tell := func(s *socketbridge.Socket) { _ = s.Emit("me", meOf(s.Session())) }
	io.OnConnection(tell)
	io.OnSessionChange(func(s *socketbridge.Socket, _ []string) { tell(s) }) // whoever changed it
	io.On("count", func(p *socketbridge.Packet) error {
		_, err := p.Session().Incr(p.Context(), "count", 1)
		if errors.Is(err, fibersession.ErrNotInteger) {
			return p.Ack("the count is no integer")
		}
		return err
	})
}

// me is what each side says of the session.
type me struct {
	User  string `json:"user"`
	Count int    `json:"count"`
}

func meOf(s interface {
	fibersession.Getter
	User() string
}) me {
	return me{s.User(), fibersession.Value[int](s, "count")}
}

func env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
