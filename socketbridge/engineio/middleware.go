package engineio

import (
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// middlewareChain runs the handlers of Server.Use before a request is served.
type middlewareChain struct {
	mu       sync.RWMutex
	handlers []fiber.Handler
	apps     map[*fiber.App]fasthttp.RequestHandler // by the app that the server is mounted on
}

type chainResult struct{ err error }

type chainResultKey struct{}

func (m *middlewareChain) add(handlers []fiber.Handler) {
	for _, h := range handlers {
		if h == nil {
			panic("engineio: Use needs a function, not nil")
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handlers = append(m.handlers, handlers...)
	m.apps = nil
}

// run calls the handlers, and then last if they all call c.Next.
func (m *middlewareChain) run(c *fiber.Ctx, last fiber.Handler) error {
	handler := m.handlerFor(c.App(), last)
	if handler == nil {
		return last(c)
	}
	result := &chainResult{}
	c.Locals(chainResultKey{}, result)
	handler(c.Context())
	return result.err
}

// handlerFor returns the handlers as a Fiber app of their own, or nil if there are none.
// Only within an app does c.Next call the next of them. The app has outer's configuration,
// because c's answers about proxies and addresses depend on it.
func (m *middlewareChain) handlerFor(outer *fiber.App, last fiber.Handler) fasthttp.RequestHandler {
	m.mu.RLock()
	handler, empty := m.apps[outer], len(m.handlers) == 0
	m.mu.RUnlock()
	if handler != nil || empty {
		return handler
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if handler := m.apps[outer]; handler != nil {
		return handler
	}
	cfg := outer.Config()
	cfg.ETag = false
	cfg.DisableStartupMessage = true
	cfg.ErrorHandler = func(c *fiber.Ctx, err error) error { // run returns err to outer's error handler
		if result, ok := c.Locals(chainResultKey{}).(*chainResult); ok {
			result.err = err
		}
		return nil
	}
	inner := fiber.New(cfg)
	for _, h := range m.handlers {
		inner.Use(h)
	}
	inner.Use(last)
	if m.apps == nil {
		m.apps = make(map[*fiber.App]fasthttp.RequestHandler)
	}
	handler = inner.Handler()
	m.apps[outer] = handler
	return handler
}
