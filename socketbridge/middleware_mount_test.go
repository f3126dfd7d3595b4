package socketbridge_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/basicauth"
	"github.com/gofiber/fiber/v2/middleware/cache"
	"github.com/gofiber/fiber/v2/middleware/compress"
	"github.com/gofiber/fiber/v2/middleware/cors"
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/gofiber/fiber/v2/middleware/etag"
	"github.com/gofiber/fiber/v2/middleware/favicon"
	"github.com/gofiber/fiber/v2/middleware/filesystem"
	"github.com/gofiber/fiber/v2/middleware/helmet"
	"github.com/gofiber/fiber/v2/middleware/idempotency"
	"github.com/gofiber/fiber/v2/middleware/keyauth"
	"github.com/gofiber/fiber/v2/middleware/limiter"
	"github.com/gofiber/fiber/v2/middleware/logger"
	"github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v2/middleware/requestid"
	"github.com/gofiber/fiber/v2/middleware/timeout"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

func use(handlers ...any) func(*fiber.App) {
	return func(app *fiber.App) { app.Use(handlers...) }
}

// skipSockets is a Next function that excludes the sockets' path.
func skipSockets(c *fiber.Ctx) bool { return strings.HasPrefix(c.Path(), "/socket.io/") }

// TestS5_MiddlewaresThatWork: behind each of these, the official client connects with every
// transport and has its session.
func TestS5_MiddlewaresThatWork(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("the page"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := timeout.NewWithContext(func(c *fiber.Ctx) error { return c.Next() }, time.Millisecond)
	nobody := basicauth.New(basicauth.Config{Users: map[string]string{"ann": "secret"}})
	key := keyauth.New(keyauth.Config{KeyLookup: "header:X-Key", Validator: func(_ *fiber.Ctx, k string) (bool, error) { return k == "secret", nil }})
	group := func(prefix string) func(app *fiber.App, sessions, sockets fiber.Handler) {
		return func(app *fiber.App, sessions, sockets fiber.Handler) {
			app.Group(prefix).Use(sessions, sockets)
			app.Use(sessions)
		}
	}
	for _, tt := range []struct {
		name   string
		before func(*fiber.App)
		mount  func(app *fiber.App, sessions, sockets fiber.Handler)
		path   string
		header map[string]string
		fiber  fiber.Config
	}{
		{name: "recover, requestid, logger", before: use(recover.New(), requestid.New(), logger.New(logger.Config{Output: io.Discard}))},
		{name: "etag", before: use(etag.New())},
		{name: "etag of the app", fiber: fiber.Config{ETag: true}},
		{name: "compress", before: use(compress.New(compress.Config{Level: compress.LevelBestCompression}))},
		{name: "helmet", before: use(helmet.New())},
		{name: "cors", before: use(cors.New(cors.Config{AllowOrigins: "https://app.example.com"}))},
		{name: "idempotency", before: use(idempotency.New())},
		{name: "favicon", before: use(favicon.New())},
		{name: "static files", before: func(app *fiber.App) { app.Static("/", dir) }},
		{name: "a file system", before: use(filesystem.New(filesystem.Config{Root: http.Dir(dir)}))},
		{name: "a context that ends", before: use(later)},
		{name: "a context that ended", before: use(func(c *fiber.Ctx) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if string(c.Context().QueryArgs().Peek("sid")) != "" { // the session is loaded with the handshake
				c.SetUserContext(ctx)
			}
			return c.Next()
		})},
		{name: "basicauth and the client's header", before: use(nobody), header: map[string]string{"Authorization": "Basic YW5uOnNlY3JldA=="}},
		{name: "keyauth and the client's header", before: use(key), header: map[string]string{"X-Key": "secret"}},
		{name: "csrf with Next", before: use(csrf.New(csrf.Config{Next: skipSockets}))},
		{name: "limiter with Next", before: use(limiter.New(limiter.Config{Max: 1, Next: skipSockets}))},
		{name: "cache with Next", before: use(cache.New(cache.Config{Next: skipSockets}))},
		{name: "a group", mount: group("/api"), path: "/api/socket.io/"},
		{name: "a group that is not in the path", mount: group("/"), path: "/socket.io/"},
		{name: "a mounted app", path: "/api/socket.io/", mount: func(app *fiber.App, sessions, sockets fiber.Handler) {
			sub := fiber.New()
			sub.Use(sessions, sockets)
			app.Mount("/api", sub)
			app.Use(sessions)
		}},
		{name: "StrictRouting, CaseSensitive, Immutable", fiber: fiber.Config{StrictRouting: true, CaseSensitive: true, Immutable: true}},
		{name: "streamed bodies", fiber: fiber.Config{StreamRequestBody: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := options{before: tt.before, mount: tt.mount, fiber: tt.fiber}
			if tt.path != "" {
				cfg.bridge.Engine = engineAt(tt.path)
			}
			s := newSite(t, cfg).counter()
			s.io.On("long", func(p *socketbridge.Packet) error { return p.Ack(strings.Repeat("text ", 10_000)) })
			s.serve()
			if res, _ := s.agent().ask("GET", s.io.ScriptURL("module"), header(tt.header)...); res.StatusCode != 200 {
				t.Errorf("the script: got status %d, want 200", res.StatusCode)
			}
			for _, transports := range [][]string{{"polling"}, {"websocket"}, {"polling", "websocket"}} {
				c := n.Connect(t, s.url, nodetest.Options{Transports: transports, Path: tt.path, Header: tt.header})
				equal(t, strings.Join(transports, ", "), call(t, c, "incr")+call(t, c, "incr"), "12")
				var long string
				c.MustCall("long").Bind(t, &long)
				equalInt(t, "length of a long answer", len(long), 50_000)
				c.Close()
			}
		})
	}
}

// TestS5_MiddlewaresThatBreak: what each of these does to the sockets, as docs/middleware.md
// says, and what the log says where the handler can see it.
func TestS5_MiddlewaresThatBreak(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("the page"), 0o600); err != nil {
		t.Fatal(err)
	}
	next := func(c *fiber.Ctx) error { return c.Next() }
	for _, tt := range []struct {
		name                       string
		before                     func(*fiber.App)
		mount                      func(app *fiber.App, sessions, sockets fiber.Handler)
		fiber                      fiber.Config
		path                       string
		header                     string // of all requests
		handshake, post, webSocket int    // statuses
		log                        string
	}{
		{name: "csrf", before: use(csrf.New()), handshake: 200, post: 403, webSocket: 101, log: "refuse its POST requests"},
		{name: "limiter", before: use(limiter.New(limiter.Config{Max: 2})), handshake: 200, post: 200, webSocket: 429},
		{name: "cache", before: use(cache.New()), handshake: 200, post: 200, webSocket: 200, log: "the cache middleware runs before the handler"},
		//lint:ignore SA1019 it is deprecated because of what the warning says
		{name: "timeout.New", before: use(timeout.New(next, time.Minute)), handshake: 200, post: 200, webSocket: 101, log: "timeout.New runs before the handler"},
		{name: "timeout.New around the handler", handshake: 200, post: 200, webSocket: 101, log: "timeout.New runs before the handler",
			mount: func(app *fiber.App, sessions, sockets fiber.Handler) {
				//lint:ignore SA1019 as above
				app.Use(sessions, timeout.New(sockets, time.Minute))
			}},
		{name: "basicauth", before: use(basicauth.New(basicauth.Config{Users: map[string]string{"a": "b"}})), handshake: 401, post: 401, webSocket: 401},
		{name: "a file system with a page for all paths", before: use(filesystem.New(filesystem.Config{Root: http.Dir(dir), NotFoundFile: "index.html"})), handshake: 200, post: 400, webSocket: 200},
		{name: "a route for all paths", before: func(app *fiber.App) { app.Get("*", func(c *fiber.Ctx) error { return c.SendString("the page") }) }, handshake: 200, post: 400, webSocket: 200},
		{name: "a group whose prefix is not in Path", path: "/api/socket.io/", handshake: 404, post: 404, webSocket: 404, log: `set=/api/socket.io/`,
			mount: func(app *fiber.App, sessions, sockets fiber.Handler) { app.Group("/api").Use(sessions, sockets) }},
		{name: "a proxy that keeps its prefix", path: "/app/socket.io/", handshake: 404, post: 404, webSocket: 404, log: `set=/app/socket.io/`},
		{name: "cookies that nearly fill the buffer", header: "Cookie: big=" + strings.Repeat("x", 3000), handshake: 200, post: 200, webSocket: 101, log: "set ReadBufferSize"},
		{name: "cookies over 4 KB", header: "Cookie: big=" + strings.Repeat("x", 4096), handshake: 431, post: 431, webSocket: 431},
		{name: "cookies over 4 KB and a larger buffer", header: "Cookie: big=" + strings.Repeat("x", 4096), fiber: fiber.Config{ReadBufferSize: 16384}, handshake: 200, post: 200, webSocket: 101},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			cfg := options{before: tt.before, mount: tt.mount, fiber: tt.fiber, log: slog.New(slog.NewTextHandler(&log, nil))}
			cfg.bridge.Timeouts.Connect = 100 * time.Millisecond
			cfg.bridge.Engine = engineio.Config{Timeouts: engineio.Timeouts{Upgrade: time.Second, Write: time.Second, Close: time.Second}}
			s := newSite(t, cfg).serve()
			if tt.path == "" {
				tt.path = "/socket.io/"
			}
			request := func(method, query, body string, headers ...string) (int, string) {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), method, s.url+tt.path+"?EIO=4&transport="+query, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range append(headers, tt.header) {
					if k, v, ok := strings.Cut(h, ": "); ok {
						req.Header.Set(k, v)
					}
				}
				res, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = res.Body.Close() }()
				if res.StatusCode == 101 {
					return 101, ""
				}
				text, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				return res.StatusCode, string(text)
			}
			status, open := request("GET", "polling", "")
			equalInt(t, "handshake", status, tt.handshake)
			_, rest, _ := strings.Cut(open, `"sid":"`)
			sid, _, _ := strings.Cut(rest, `"`)
			status, _ = request("POST", "polling&sid="+sid, "40", "Content-Type: text/plain")
			equalInt(t, "post", status, tt.post)
			status, _ = request("GET", "websocket", "", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
			equalInt(t, "websocket", status, tt.webSocket)
			if tt.log != "" {
				waitFor(t, "the log to have "+tt.log, func() bool { return strings.Contains(log.String(), tt.log) })
				equalInt(t, "lines with it", strings.Count(log.String(), tt.log), 1)
			}
		})
	}
}

// header returns a map's keys and values in turn.
func header(h map[string]string) (pairs []string) {
	for k, v := range h {
		pairs = append(pairs, k, v)
	}
	return pairs
}

func equalInt(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %d, want %d", what, got, want)
	}
}
