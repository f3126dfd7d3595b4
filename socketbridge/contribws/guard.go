package contribws

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/gofiber/contrib/socketio"
)

// Guard returns a listener that calls fn and logs its panics. The library calls the
// listeners of "disconnect" and "error" on its own goroutines, where a panic ends the
// process:
//
//	socketio.On(socketio.EventDisconnect, contribws.Guard(onDisconnect))
//
// If one of several listeners of an event panics without Guard, the listeners after it are
// not called. Guard panics if fn is nil.
func Guard(fn func(payload *socketio.EventPayload)) func(payload *socketio.EventPayload) {
	if fn == nil {
		panic("contribws: Guard needs a function, not nil")
	}
	return func(payload *socketio.EventPayload) {
		defer func() {
			if v := recover(); v != nil {
				log := slog.Default()
				if k := connOf(payload.Kws); k != nil {
					log = k.route.cfg.Logger
				}
				logPanic(log, payload.Name, v)
			}
		}()
		fn(payload)
	}
}

func logPanic(log *slog.Logger, listener string, v any) {
	log.Error("contribws: a listener panicked", "listener", listener, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}
