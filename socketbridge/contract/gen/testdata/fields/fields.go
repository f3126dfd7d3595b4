// Package fields declares structs whose JSON fields are not obvious.
package fields

import (
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

type (
	// Base is embedded.
	Base struct {
		ID   int `json:"id"`
		Name string
		Note *string `json:"note"`
	}
	base   struct{ Hidden, Name string }
	more   struct{ Name chan int }
	tagged struct {
		Other string `json:"Name"`
	}
	inner struct {
		Base
		Deep int
	}
	text string
	// Text is embedded, and no struct.
	Text string
	// Stamp decodes itself.
	Stamp struct{ time.Time }
)

// The structs.
type (
	Plain struct {
		A, b int
		C    *int
		D    **int
		É    bool
	}
	Tagged struct {
		A int  `json:"a"`
		B int  `json:",omitempty"`
		C int  `json:"c,omitzero"`
		D *int `json:"d,omitempty"`
		E int  `json:"-"`
		F int  `json:"-,"`
		G int  `json:"g h"`
		H int  `validate:"required"`
		I int  `json:"i,unknown"`
	}
	Embedded        struct{ Base }
	EmbeddedPointer struct{ *Base }
	EmbeddedTagged  struct {
		Base `json:"base"`
	}
	EmbeddedDash struct {
		Base `json:"-"`
		A    int
	}
	EmbeddedHidden struct{ base }
	EmbeddedDeep   struct {
		inner
		*Base
	}
	EmbeddedText struct {
		Text
		text
		Level int
	}
	EmbeddedStamp struct {
		Stamp
		A int
	}
	EmbeddedTime struct{ time.Time }
	Shadowed     struct {
		Name int
		Base
	}
	ShadowedLast struct {
		Base
		Name *int `json:",omitempty"`
	}
	ShadowedTag struct {
		base
		Other struct{ X int } `json:"Name"`
	}
	TagWins struct {
		Name  int
		Other string `json:"Name"`
	}
	HiddenTwice struct {
		Base
		base
		more
		Name bool
	}
	HiddenByTag struct {
		Base
		base
		tagged
	}
	Kinds struct {
		Kind string   `json:"kind" validate:"eq=a"`
		Text Text     `validate:"max=3,eq=b"`
		Ptr  *string  `validate:"eq=c"`
		Int  int      `validate:"eq=1"`
		Many []string `validate:"dive,eq=d"`
		Or   string   `validate:"eq=a|eq=b"`
		Both string   `validate:"eq=a|eq=b,eq=a"`
		Code string   `validate:"eq=a0x2Cb0x7Cc"`
	}
	Marked struct {
		contract.Strict
		contract.Tuple
		A int
		B *int
		C string `json:"named,omitempty"`
		D int    `json:"-"`
		e int
	}
	Alone struct {
		contract.Tuple
		URL time.Time `json:",omitzero"`
	}
	Unchecked struct {
		ruled `validate:"-"`
		Items []ruled   `validate:"-"`
		Plain [][]ruled `validate:"dive,dive"`
		Skips []Skips
	}
	ruled struct {
		A []struct {
			B int `validate:"min=1"`
		} `validate:"omitempty,dive"`
	}
	Skips struct {
		ruled `validate:"structonly"`
		C     int `validate:"-"`
	}
	Empty struct{}
	// Ruled has rules that need to know more than a kind.
	Ruled struct {
		ID    stringer             `validate:"uuid4,validateFn=Check"`
		IDs   []stringer           `validate:"unique,dive,uuid4"`
		Twin  string               `validate:"unique=Name"`
		Again *string              `validate:"eqfield=Below.Name,required_if=Below.ID 1 Loop.Name 'a b',nefield=Hidden"`
		Loop  *Ruled               `validate:"omitempty,required_without=Loop"`
		Code  int16                `validate:"country_code|oneof=1 2"`
		Wait  time.Duration        `validate:"min=1s"`
		Born  time.Time            `validate:"lt,gtfield=Stamp.Time"`
		Color string               `validate:"iscolor"`
		Other valuer               `validate:"email"`
		Pages map[string]page[int] `validate:"unique=Items,dive"`
		Any   any                  `validate:"required"`
		Stamp Stamp                `validate:"required"`
		Below struct {
			Base
			Stamp
		} `validate:"structonly"`
		base
	}
	page[T any] struct {
		Items []T `validate:"max=3,dive,min=1"`
	}
	stringer [16]byte
	valuer   struct{ Text string }
)

func (stringer) String() string { return "" }

func (stringer) Check() bool { return true }

func (valuer) ValidatorValue() any { return "" }

var _ = Plain{}.b + Marked{}.e

// The events.
const (
	E1  = contract.Notice[Plain]("Plain")
	E2  = contract.Notice[Tagged]("Tagged")
	E3  = contract.Notice[Embedded]("Embedded")
	E4  = contract.Notice[EmbeddedPointer]("EmbeddedPointer")
	E5  = contract.Notice[EmbeddedTagged]("EmbeddedTagged")
	E6  = contract.Notice[EmbeddedDash]("EmbeddedDash")
	E7  = contract.Notice[EmbeddedHidden]("EmbeddedHidden")
	E8  = contract.Notice[EmbeddedDeep]("EmbeddedDeep")
	E9  = contract.Notice[EmbeddedText]("EmbeddedText")
	E10 = contract.Notice[EmbeddedStamp]("EmbeddedStamp")
	E11 = contract.Notice[EmbeddedTime]("EmbeddedTime")
	E12 = contract.Notice[Shadowed]("Shadowed")
	E13 = contract.Notice[ShadowedLast]("ShadowedLast")
	E14 = contract.Notice[ShadowedTag]("ShadowedTag")
	E15 = contract.Notice[TagWins]("TagWins")
	E16 = contract.Notice[Kinds]("Kinds")
	E17 = contract.Notice[Marked]("Marked")
	E18 = contract.Notice[Alone]("Alone")
	E19 = contract.Notice[Empty]("Empty")
	E20 = contract.Notice[HiddenTwice]("HiddenTwice")
	E22 = contract.Notice[Unchecked]("Unchecked")
	E21 = contract.Notice[HiddenByTag]("HiddenByTag")
	E23 = contract.Notice[Ruled]("Ruled")
)

// All has a value of each event's type, by its name.
var All = map[string]any{
	string(E1): Plain{}, string(E2): Tagged{}, string(E3): Embedded{}, string(E4): EmbeddedPointer{}, string(E5): EmbeddedTagged{},
	string(E6): EmbeddedDash{}, string(E7): EmbeddedHidden{}, string(E8): EmbeddedDeep{}, string(E9): EmbeddedText{}, string(E10): EmbeddedStamp{},
	string(E11): EmbeddedTime{}, string(E12): Shadowed{}, string(E13): ShadowedLast{}, string(E14): ShadowedTag{}, string(E15): TagWins{},
	string(E16): Kinds{}, string(E17): Marked{}, string(E18): Alone{}, string(E19): Empty{},
	string(E20): HiddenTwice{}, string(E21): HiddenByTag{}, string(E22): Unchecked{}, string(E23): Ruled{},
}
