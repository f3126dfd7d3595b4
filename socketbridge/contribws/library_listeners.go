package contribws

import (
	"crypto/rand"
	"runtime"

	"github.com/gofiber/contrib/socketio"
)

// The library's reader holds a lock while it waits for a message, takes one message
// a tick, and calls listeners where a panic ends the process. So it is not given
// the messages: the first and only one that it reads is readerEnd, for which the
// listener below ends its goroutine, at a moment when it holds nothing. Messages
// are then fired by the connection's own queue.
//
// With the reader gone, the writer is who notices the end, and it does so once for
// each message that it still has: after the first time, the second listener ends
// it, so that the app hears of one disconnect.
//
// Both have to be the first of their event, and are, as long as the app registers
// its listeners in main and not in the initialisation of its packages. Other
// routes of the library are not touched.
func init() {
	socketio.On(socketio.EventMessage, func(ep *socketio.EventPayload) {
		if string(ep.Data) != readerEnd {
			return
		}
		if k := from(ep.Kws); k != nil && k.readerEnded.CompareAndSwap(false, true) {
			runtime.Goexit()
		}
	})
	socketio.On(socketio.EventDisconnect, func(ep *socketio.EventPayload) {
		if ep.Error == nil {
			return // fired by the app
		}
		if k := from(ep.Kws); k != nil && !k.disconnected.CompareAndSwap(false, true) {
			runtime.Goexit()
		}
	})
}

// readerEnd is a message that no client can know.
var readerEnd = "contribws " + rand.Text()

// tag marks a *socketio.Websocket as one of this package. It is an attribute: that
// is the one thing of a kws that can be read safely at any time, whoever made it.
type tag struct{ conn *conn }

const tagKey = "fiberbridge.contribws"

// from returns the connection of a *socketio.Websocket of this package, or nil.
func from(kws *socketio.Websocket) *conn {
	if kws == nil {
		return nil
	}
	t, ok := kws.GetAttribute(tagKey).(*tag)
	if !ok {
		return nil
	}
	return t.conn
}
