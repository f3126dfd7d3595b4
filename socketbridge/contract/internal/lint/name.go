package lint

import (
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// maxName is the longest name that a server takes from clients, in bytes.
const maxName = 256

// Name returns what is wrong with the name of an event, or "". fromClients tells that clients send it.
func Name(name string, fromClients bool) (wrong string) {
	switch {
	case name == "":
		return "the name is empty"
	case siopacket.Reserved(name):
		return "Socket.IO reserves the name: choose another one"
	case !utf8.ValidString(name):
		return "the name is not valid UTF-8"
	case fromClients && len(name) > maxName:
		return "the name has more than 256 bytes: the server would refuse the event"
	}
	return ""
}
