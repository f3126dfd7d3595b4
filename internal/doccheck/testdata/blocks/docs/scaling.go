package blocks

import "github.com/fiberbridge/fiberbridge/socketbridge"

func pay(p *socketbridge.Packet) error { panic(0) }
