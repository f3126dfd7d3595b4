package blocks

import (
	"github.com/gofiber/contrib/socketio"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
)

func requireLogin(p *socketbridge.Packet) error { return p.Next() }
func onDisconnect(*socketio.EventPayload)       {}
