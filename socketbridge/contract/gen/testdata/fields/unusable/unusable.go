// Package unusable declares structs that cannot be used in events.
package unusable

import "github.com/fiberbridge/fiberbridge/socketbridge/contract"

type base struct{ Name string }

// Left has a field that Right has too.
type Left struct{ Name string }

// Right has a field that Left has too.
type Right struct{ Name string }

// Outer hides nothing: its field is as deep as the others.
type Outer struct{ Name string }

// Level cannot be used: its method returns nothing.
type Level string

// Values returns nothing.
func (Level) Values() []Level { return []Level{} }

// Key decodes itself.
type Key string

// UnmarshalText accepts all text.
func (k *Key) UnmarshalText(text []byte) error { *k = Key(text); return nil }

// The structs.
type (
	Twice struct {
		Left
		Right
	}
	TwiceBelow struct {
		Outer
		Left
		Right
	}
	SameTag struct {
		A int `json:"x"`
		B int `json:"x"`
	}
	EmbeddedPointer struct{ *base }
	Itself          struct{ *Itself }
	OptionString    struct {
		A int `json:",string"`
	}
	TupleEmbeds struct {
		contract.Tuple
		Left
	}
	TupleOrder struct {
		contract.Tuple
		A *int
		B int
	}
	TextKeys  struct{ M map[Key]int }
	BoolKeys  struct{ M map[bool]int }
	EmptyEnum struct{ Level Level }
	Channel   struct{ C chan int }
)

// The events.
const (
	E1  = contract.Notice[Twice]("Twice")
	E2  = contract.Notice[SameTag]("SameTag")
	E3  = contract.Notice[EmbeddedPointer]("EmbeddedPointer")
	E4  = contract.Notice[Itself]("Itself")
	E5  = contract.Notice[OptionString]("OptionString")
	E6  = contract.Notice[TupleEmbeds]("TupleEmbeds")
	E7  = contract.Notice[TupleOrder]("TupleOrder")
	E8  = contract.Notice[TextKeys]("TextKeys")
	E9  = contract.Notice[BoolKeys]("BoolKeys")
	E10 = contract.Notice[EmptyEnum]("EmptyEnum")
	E11 = contract.Notice[Channel]("Channel")
	E12 = contract.Notice[TwiceBelow]("TwiceBelow")
)

// All has a value of each event's type, by the name of its declaration.
var All = map[string]any{
	"E1": Twice{}, "E2": SameTag{}, "E3": EmbeddedPointer{}, "E4": Itself{}, "E5": OptionString{}, "E6": TupleEmbeds{},
	"E7": TupleOrder{}, "E8": TextKeys{}, "E9": BoolKeys{}, "E10": EmptyEnum{}, "E11": Channel{}, "E12": TwiceBelow{},
}
