package measure

import (
	"slices"
	"strings"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Other is the value of a label instead of one that is not on its list, such as the name of an
// event that the app does not handle.
const Other = "_other"

// reasons are the reasons of disconnects that the server and its transports have.
var reasons = []socketbridge.Reason{
	transport.TransportClose, transport.TransportError, transport.PingTimeout, transport.ParseError, transport.ForcedClose,
	transport.Refused, transport.ShuttingDown, socketbridge.ServerDisconnect, socketbridge.ClientDisconnect, socketbridge.ForcedClose,
}

// ReasonWord returns the word for the reason of a disconnect: the reason with "_" for spaces, or
// Other for one that is not of the server, because a transport of the app can make up any.
func ReasonWord(r socketbridge.Reason) string {
	if slices.Contains(reasons, r) {
		return strings.ReplaceAll(string(r), " ", "_")
	}
	return Other
}

// MessageWord returns the word for the kind of a message to other nodes.
func MessageWord(m *adapter.Message) string {
	switch m.Kind {
	case adapter.Broadcast:
		return "broadcast"
	case adapter.Join:
		return "join"
	case adapter.Leave:
		return "leave"
	case adapter.Disconnect:
		return "disconnect"
	case adapter.Fetch:
		return "fetch"
	case adapter.ListRooms:
		return "list_rooms"
	case adapter.ServerSide:
		return "server_side"
	default:
		return Other
	}
}

// ChangeWord returns the word for an event of a session.
func ChangeWord(k fibersession.EventKind) string {
	switch k {
	case fibersession.Changed:
		return "changed"
	case fibersession.Renewed:
		return "renewed"
	case fibersession.Ended:
		return "ended"
	default:
		return Other
	}
}

// TargetWord returns the word for the target of an event.
func TargetWord(s *socketbridge.Socket) string {
	if s == nil {
		return "broadcast"
	}
	return "socket"
}
