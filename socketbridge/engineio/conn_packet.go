package engineio

import "github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"

// packet is a packet or control frame that waits to be sent.
type packet struct {
	kind    packetKind
	part    bool   // an attachment: it does not count as a message of its own
	paced   bool   // its sender waits, or it is the server's own
	counted bool   // in Server.backlog
	code    uint16 // of a closePacket
	data    []byte
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

// measurePacket returns what a packet adds to the load of its queue.
func measurePacket(p packet) serial.Load {
	l := serial.Load{Items: 1, Size: len(p.data)}
	if p.part {
		l.Items = 0
	}
	if !p.paced {
		l.Bound = len(p.data) + packetOverhead
	}
	return l
}
