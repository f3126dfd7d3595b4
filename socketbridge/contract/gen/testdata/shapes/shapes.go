// Package shapes declares events of all shapes.
package shapes

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// Put is sent by clients.
// Its answer is what it got.
const Put = contract.Event[Everything, Everything]("put")

// Go has several arguments.
var Go = contract.Event[Move, Move]("go")

const (
	Draw  = contract.Event[Shape, contract.None]("draw")
	Ping  = contract.Event[contract.None, contract.None]("ping now")
	Moved = contract.Notice[Move]("moved")
	// Sure asks.
	Sure = contract.Ask[Item, Level]("sure")

	// Cart is in the session.
	Cart = fibersession.Key[[]Item]("cart")
)

// Level is an enum.
type Level string

const (
	Low  Level = "low"
	High Level = "high"
)

func (Level) Values() []Level { return []Level{Low, High} }

// Shape is a Circle or a Square.
type Shape interface{ oneOf(Circle, Square) }

// Circle has binary data.
type Circle struct {
	Kind string `json:"kind" validate:"eq=circle"`
	Icon []byte `json:"icon,omitempty"`
}

// Square has other shapes.
type Square struct {
	Kind   string  `json:"kind" validate:"eq=square"`
	Inside []Shape `json:"inside,omitempty" validate:"dive"`
}

func (Circle) oneOf(Circle, Square) {}
func (Square) oneOf(Circle, Square) {}

// Base is embedded.
type Base struct {
	ID   int       `json:"id"`
	Made time.Time `json:"made,omitzero"`
	Name int       `json:"name"` // hidden by Everything
}

// Page is generic.
type Page[T any] struct {
	Items []T `json:"items" validate:"dive"`
	Next  *T  `json:"next"`
}

// Item is an element.
type Item struct {
	// Name has a comment that ends early: */
	Name  string `json:"name" validate:"min=1,max=10"`
	Level Level  `json:"level"`
}

type Everything struct {
	contract.Strict
	Base
	Name    string            `json:"name"`
	Flag    bool              `json:"flag"`
	Note    *string           `json:"note"`
	Tags    map[string]string `json:"tags"`
	Ports   map[int]bool      `json:"ports,omitempty"`
	Pair    [2]int            `json:"pair"`
	Maybe   []*Item           `json:"maybe,omitempty" validate:"dive"`
	Found   map[string]*Item  `json:"found,omitempty" validate:"dive"`
	Page    Page[Item]        `json:"page"`
	Extra   any               `json:"extra,omitempty"`
	Raw     json.RawMessage   `json:"raw,omitempty"`
	Number  json.Number       `json:"number,omitempty"`
	Address netip.Addr        `json:"address"`
	Tree    *Tree             `json:"tree"`
	Inline  struct{ A int }   `json:"in-line"`
	Hidden  chan int          `json:"-"`
	Plain   float64
}

// Tree contains itself.
type Tree struct {
	Left, Right *Tree
	Value       int
}

// Move is several arguments.
type Move struct {
	contract.Tuple
	X, Y  int16
	Label *string
}
