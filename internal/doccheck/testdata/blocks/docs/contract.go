package blocks

import (
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

const (
	Say  = contract.Event[SayIn, SayOut]("say")
	Said = contract.Notice[Message]("said")
	Move = contract.Event[MoveIn, string]("move")
)

type (
	SayIn   struct{ Room, Text string }
	SayOut  struct{ Length int }
	Message struct{ Text string }
	MoveIn  struct {
		contract.Tuple
		X, Y int
	}
	Shape interface{ oneOf() }
)

var requireLogin socketbridge.Handler

func place(x, y int) string             { panic(0) }
func addEvents(io *socketbridge.Server) {}
