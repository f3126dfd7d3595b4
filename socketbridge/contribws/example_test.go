package contribws_test

import (
	"fmt"
	"log"

	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
)

// An app of contrib/socketio whose connections are sockets with a session.
func ExampleNew() {
	sessions := fibersession.New()
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})

	app := fiber.New()
	app.Use(sessions.Handler())
	app.Get("/ws/:room", contribws.New(io)) // was: socketio.New(...)

	// ["say", text] of a client, and ["said", text] to all in its room.
	io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("hall") })
	io.On("say", func(p *socketbridge.Packet) error {
		return io.To("hall").Emit("said", p.Args()[0])
	})

	log.Fatal(app.Listen(":3000"))
}

// A listener of before gets the session of its connection. In an app it is
// registered in main.
func ExampleSessionOf() {
	onMessage := func(ep *socketio.EventPayload) {
		user := fibersession.Value[string](contribws.SessionOf(ep.Kws), "user")
		ep.Kws.Emit([]byte(fmt.Sprintf("%s said %s", user, ep.Data)))
	}
	_ = func() { socketio.On(socketio.EventMessage, onMessage) }
}

// Panics of listeners that the library calls on its own goroutines end the process,
// unless they are guarded.
func ExampleGuard() {
	onDisconnect := contribws.Guard(func(ep *socketio.EventPayload) {
		log.Print(contribws.SocketOf(ep.Kws).User(), " left room ", ep.Kws.Params("room"))
	})
	_ = func() { socketio.On(socketio.EventDisconnect, onDisconnect) }
}
