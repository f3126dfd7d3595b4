// Benchserver is the server that the project's load generator measures. It has sessions
// over HTTP and over sockets, and one room that all sockets join. Environment variables
// configure it:
//
//   - PORT: the port to listen on, at 127.0.0.1 (3000 by default)
//   - STORE: memory (the default) or redis
//   - REDIS_URL: the Redis of STORE=redis
//   - FRESHNESS: strict (the default) or tracked, how the session is reloaded
//   - PPROF: an address that serves profiles; none if empty
package main

import (
	"cmp"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof" // on http.DefaultServeMux, which only PPROF serves
	"os"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

func main() {
	url := "memory://"
	if os.Getenv("STORE") == "redis" {
		url = os.Getenv("REDIS_URL")
	}
	store, err := storage.Open(url)
	if err != nil {
		log.Fatal(err)
	}
	if addr := os.Getenv("PPROF"); addr != "" {
		go func() { log.Println(http.ListenAndServe(addr, nil)) }() // ends with the process
	}
	ln, err := listen("127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "3000"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Open http://%s for what this server has\n", ln.Addr())
	log.Fatal(newApp(store).Listener(ln))
}

// listen listens at addr. If another program uses the port, the error says what to do.
func listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: if another program uses this port, stop it, or choose another port, such as %s: %w", addr, "PORT=4000", err)
	}
	return ln, nil
}

const about = `The server of the benchmarks. It has no page; a load generator uses it.

POST /login    a new session with the count 0
POST /incr     adds 1 to the session's count
/socket.io/    sockets, with the events echo, read, incr and cast
`

func newApp(store storage.Storage) *fiber.App {
	sessions := fibersession.New(fibersession.Config{Storage: store, Expiration: time.Hour})
	engine := engineio.ConfigDefault
	engine.Limits.MaxConnsPerIP = -1 // the load generator connects from one address
	engine.Limits.ConnRatePerIP = -1
	freshness := fibersession.Strict
	if os.Getenv("FRESHNESS") == "tracked" {
		freshness = fibersession.Tracked
	}
	io := socketbridge.New(socketbridge.Config{
		Sessions:  sessions,
		Freshness: freshness,
		// The load generator expects fresh sessions for "incr" and "read" only.
		Mode:   socketbridge.SessionPerConnection,
		Engine: engine,
		Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1, MaxConnsPerSession: -1},
		Logger: slog.New(slog.DiscardHandler),
	})

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	io.LimitBodies(app)
	app.Use(sessions.Handler())
	app.Use(io.Handler())

	app.Get("/", func(c *fiber.Ctx) error { return c.SendString(about) })
	app.Post("/login", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if err := sess.Reset(); err != nil {
			return err
		}
		sess.Set("count", 0)
		return c.SendString("ok")
	})
	app.Post("/incr", func(c *fiber.Ctx) error {
		n, err := fibersession.FromContext(c).Incr("count", 1)
		if err != nil {
			return err
		}
		return c.SendString(strconv.Itoa(n))
	})

	io.OnConnection(func(s *socketbridge.Socket) {
		if err := s.Join("r"); err != nil {
			s.Close()
		}
	})
	io.On("echo", func(p *socketbridge.Packet) error {
		args := p.Args()
		return p.Ack(args[0])
	})
	io.On("read", socketbridge.Reload(), func(p *socketbridge.Packet) error {
		n, err := fibersession.Value[int](p.Session(), "count")
		if err != nil {
			return err
		}
		return p.Ack(n)
	})
	io.On("incr", socketbridge.Reload(), func(p *socketbridge.Packet) error {
		n, err := p.Session().Incr(p.Context(), "count", 1)
		if err != nil {
			return err
		}
		return p.Ack(n)
	})
	io.On("cast", func(p *socketbridge.Packet) error {
		args := p.Args()
		if len(args) == 0 {
			return socketbridge.ErrMissingArg
		}
		return io.To("r").Emit("cast", args[0])
	})
	return app
}
