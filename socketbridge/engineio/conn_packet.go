package engineio

// packet is a packet or control frame that waits to be sent.
type packet struct {
	kind packetKind
	code uint16 // of a closePacket
	data []byte
}

type packetKind uint8

const (
	textMessage packetKind = iota
	binaryMessage
	openPacket
	pingPacket
	probePong   // answers the probe of an upgrade
	plainText   // a text message of a plain connection
	wsPing      // the heartbeat of a plain connection
	wsPong      // answers a WebSocket ping
	closePacket // always the last: a close packet on polling, a close frame on a WebSocket
)

func packetSize(p packet) int { return len(p.data) }
