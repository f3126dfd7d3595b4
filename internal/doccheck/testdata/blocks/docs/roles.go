package blocks

import "github.com/fiberbridge/fiberbridge/socketbridge"

// rights is the package of the page's first block.
var rights struct {
	Follow  func(io *socketbridge.Server)
	Require func(role string) socketbridge.Handler
}

var report string

func deletePost(p *socketbridge.Packet) error { panic(0) }
