package socketbridge

import (
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// replacements says, for each event of Socket.IO for Node that no client can send or that
// means something else here, what to use instead.
var replacements = map[string]string{
	"connection":       "OnConnection",
	"connect":          "OnConnection",
	"disconnecting":    "Socket.OnDisconnecting",
	"disconnect":       "Socket.OnDisconnect",
	"connect_error":    "Server.OnRefused for requests that the transport refused; a Use middleware that refuses a client has the reason itself",
	"connection_error": "Server.OnRefused",
	"new_namespace":    "Server.OnNewNamespace",
	"newListener":      "nothing: handlers are not observed here",
	"removeListener":   "nothing: handlers are not observed here",
}

// checkEvent panics if a handler for event would never be called, or not for what its
// author expects.
func checkEvent(method, event string) {
	if use, ok := replacements[event]; ok {
		panic(fmt.Sprintf("socketbridge: %s(%q) would not be called as in Socket.IO for Node; use %s", method, event, use))
	}
}

// checkServerEvent is checkEvent for the events of other nodes' servers.
func checkServerEvent(event string) {
	if reservedServerEvent(event) {
		panic(fmt.Sprintf("socketbridge: OnServerSideEmit(%q): servers cannot send this event, because its name is reserved", event))
	}
}

// reservedServerEvent reports whether servers cannot send an event of this name. Socket.IO
// for Node refuses the first three.
func reservedServerEvent(event string) bool {
	switch event {
	case "connect", "connection", "new_namespace":
		return true
	}
	return siopacket.Reserved(event)
}

// needFuncs panics if one of the functions given to a method is nil: it would fail at the
// first event instead of at start.
func needFuncs[F ~func(A) error, A any](method string, fns ...F) {
	for _, fn := range fns {
		needFunc(method, fn != nil)
	}
}

// needFunc panics unless given is set.
func needFunc(method string, given bool) {
	if !given {
		panic("socketbridge: " + method + " needs a function, not nil")
	}
}
