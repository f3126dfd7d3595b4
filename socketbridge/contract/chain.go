package contract

import (
	"fmt"
	"slices"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Chain is a Registrar with middlewares before each typed handler. Use returns one.
type Chain struct {
	socketbridge.Registrar
	middlewares []socketbridge.Handler
}

// Use returns a chain that runs middlewares before the typed handlers that are registered on
// it. They are those of plain handlers, each of which calls Next. A Chain can be kept, used
// for many events, and extended by another Use.
func Use(on socketbridge.Registrar, middlewares ...socketbridge.Handler) Chain {
	return Chain{on, slices.Clone(middlewares)}
}

// register adds a handler for event, after the middlewares of on.
func register(on socketbridge.Registrar, event string, handlers ...socketbridge.Handler) {
	switch on := on.(type) {
	case *socketbridge.Server:
		on.On(event, handlers...)
	case *socketbridge.Namespace:
		on.On(event, handlers...)
	case *socketbridge.Socket:
		on.On(event, handlers...)
	case Chain:
		register(on.Registrar, event, slices.Concat(on.middlewares, handlers)...)
	default:
		panic(fmt.Sprintf("contract: cannot register %s on a %T", event, on))
	}
}
