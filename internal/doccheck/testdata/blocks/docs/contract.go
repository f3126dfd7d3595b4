package blocks

import (
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

const Move = contract.Event[MoveIn, string]("move")

type MoveIn struct {
	contract.Tuple
	X, Y int
}

var requireLogin socketbridge.Handler

func place(x, y int) string { panic(0) }
