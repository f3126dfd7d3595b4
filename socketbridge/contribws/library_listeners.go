package contribws

import (
	"crypto/rand"
	"runtime"

	"github.com/gofiber/contrib/socketio"
)

// The library's reader holds a lock while it waits for a message, reads one message per
// tick, and calls listeners on a goroutine where a panic ends the process. So it does not get
// the client's messages. The only message that it reads is stopReader, on which the first
// listener below ends the reader's goroutine, at a moment when it holds no lock. The
// connection's messageQueue calls the listeners instead.
//
// Without the reader, the library's writer notices the end of a connection. It would report
// the disconnect once for each message that it still has. The second listener ends the
// writer's goroutine after the first report, so that the app gets one "disconnect".
//
// Both must be the first listeners of their events. They are, if the app registers its own
// in main and not while packages are initialized. They do not affect other routes of the
// library.
func init() {
	socketio.On(socketio.EventMessage, func(ep *socketio.EventPayload) {
		if string(ep.Data) != stopReader {
			return
		}
		if k := connOf(ep.Kws); k != nil && k.readerStopped.CompareAndSwap(false, true) {
			runtime.Goexit()
		}
	})
	socketio.On(socketio.EventDisconnect, func(ep *socketio.EventPayload) {
		if ep.Error == nil {
			return // fired by the app
		}
		if k := connOf(ep.Kws); k != nil && !k.disconnected.CompareAndSwap(false, true) {
			runtime.Goexit()
		}
	})
}

// stopReader is a message that a client cannot guess.
var stopReader = "contribws " + rand.Text()

// connHolder is the attribute that marks a *socketio.Websocket of this package. An attribute
// is the only part of a kws that can be read safely at any time, on any route.
type connHolder struct{ conn *conn }

const connAttribute = "fiberbridge.contribws"

// connOf returns the connection of a *socketio.Websocket, or nil if it does not belong to
// this package.
func connOf(kws *socketio.Websocket) *conn {
	if kws == nil {
		return nil
	}
	holder, ok := kws.GetAttribute(connAttribute).(*connHolder)
	if !ok {
		return nil
	}
	return holder.conn
}
