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

// The connections of an app that uses contrib/socketio become sockets with a session.
func ExampleNew() {
	sessions := fibersession.New()
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})

	app := fiber.New()
	app.Use(sessions.Handler())
	app.Get("/ws/:room", contribws.New(io)) // was: socketio.New(...)

	// A client sends ["say", text], and all in the room get ["said", text].
	io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("hall") })
	io.On("say", func(p *socketbridge.Packet) error {
		return io.To("hall").Emit("said", p.Args()[0])
	})

	log.Fatal(app.Listen(":3000"))
}

// An existing listener reads the session of its connection. An app registers it in main.
func ExampleSessionOf() {
	onMessage := func(ep *socketio.EventPayload) {
		user, err := fibersession.Value[string](contribws.SessionOf(ep.Kws), "user")
		if err != nil {
			return
		}
		ep.Kws.Emit([]byte(fmt.Sprintf("%s said %s", user, ep.Data)))
	}
	_ = func() { socketio.On(socketio.EventMessage, onMessage) }
}

// The library calls listeners of "disconnect" on its own goroutines. Without Guard, a panic
// there ends the process.
func ExampleGuard() {
	onDisconnect := contribws.Guard(func(ep *socketio.EventPayload) {
		log.Print(contribws.SocketOf(ep.Kws).User(), " left room ", ep.Kws.Params("room"))
	})
	_ = func() { socketio.On(socketio.EventDisconnect, onDisconnect) }
}
