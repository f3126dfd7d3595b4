package contribws

import (
	"github.com/gofiber/contrib/socketio"

	"github.com/fiberbridge/fiberbridge/internal/notice"
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
	foreign := new(notice.Board) // of connections that are not this package's
	return func(payload *socketio.EventPayload) {
		defer func() {
			if v := recover(); v != nil {
				board := foreign
				if k := connOf(payload.Kws); k != nil {
					board = k.route.library.notices
				}
				reportPanic(board, payload.Name, v)
			}
		}()
		fn(payload)
	}
}

func reportPanic(b *notice.Board, listener string, v any) {
	b.Report(&panicNotice, listener, append([]any{"listener", listener}, notice.Panic(v)...)...)
}
