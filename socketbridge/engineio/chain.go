package engineio

import (
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// chain runs the handlers of Use before a request is served.
type chain struct {
	mu       sync.RWMutex
	handlers []fiber.Handler
	apps     map[*fiber.App]fasthttp.RequestHandler // by the app that the server is mounted on
}

type chainResult struct{ err error }

type chainKey struct{}

func (ch *chain) add(handlers []fiber.Handler) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.handlers = append(ch.handlers, handlers...)
	ch.apps = nil
}

// run calls the handlers and then last, or only last.
func (ch *chain) run(c *fiber.Ctx, last fiber.Handler) error {
	run := ch.forApp(c.App(), last)
	if run == nil {
		return last(c)
	}
	result := &chainResult{}
	c.Locals(chainKey{}, result)
	run(c.Context())
	return result.err
}

// forApp returns the handlers as a Fiber app, which is the only way to have c.Next
// mean the next of them. It has the configuration of the app around it, as what c
// says of proxies and addresses depends on it.
func (ch *chain) forApp(outer *fiber.App, last fiber.Handler) fasthttp.RequestHandler {
	ch.mu.RLock()
	run, none := ch.apps[outer], len(ch.handlers) == 0
	ch.mu.RUnlock()
	if run != nil || none {
		return run
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if run := ch.apps[outer]; run != nil {
		return run
	}
	cfg := outer.Config()
	cfg.ETag = false
	cfg.DisableStartupMessage = true
	cfg.ErrorHandler = func(c *fiber.Ctx, err error) error { // the app around it answers
		if result, ok := c.Locals(chainKey{}).(*chainResult); ok {
			result.err = err
		}
		return nil
	}
	inner := fiber.New(cfg)
	for _, h := range ch.handlers {
		inner.Use(h)
	}
	inner.Use(last)
	if ch.apps == nil {
		ch.apps = make(map[*fiber.App]fasthttp.RequestHandler)
	}
	run = inner.Handler()
	ch.apps[outer] = run
	return run
}
