// Package unusable declares structs that cannot be used in events.
package unusable

import (
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

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

// Item has a rule.
type Item struct {
	Name string `validate:"min=1"`
}

// Shape is a union.
type Shape interface{ oneOf(Circle) }

// Circle is the only member of Shape.
type Circle struct {
	Kind string `validate:"eq=circle"`
}

func (Circle) oneOf(Circle) {}

// Unions whose members cannot be told apart, or are none.
type (
	KindOfMany interface{ oneOf(Many) }
	SameKind   interface{ oneOf(Round, Ring) }
	OtherName  interface{ oneOf(Square, Cube) }
	OfPointers interface{ oneOf(*Pointed) }
	NotMembers interface{ oneOf(Circle, Round) }
	Empty      interface{ oneOf() }

	Many struct {
		Kind string `validate:"eq=a|eq=b"`
	}
	Round struct {
		Kind string `validate:"eq=round"`
	}
	Ring struct {
		Kind string `validate:"eq=round"`
	}
	Square struct {
		Kind string `validate:"eq=square"`
	}
	Cube struct {
		Type string `validate:"eq=cube"`
	}
	Pointed struct {
		Kind string `validate:"eq=pointed"`
	}
)

func (Many) oneOf(Many)           {}
func (Round) oneOf(Round, Ring)   {}
func (Ring) oneOf(Round, Ring)    {}
func (Square) oneOf(Square, Cube) {}
func (Cube) oneOf(Square, Cube)   {}
func (*Pointed) oneOf(*Pointed)   {}

// Mark cannot be used: only its pointer has the method.
type Mark string

// Values has a pointer receiver.
func (*Mark) Values() []Mark { return []Mark{"a"} }

// NoKind is a union whose members have no kind.
type NoKind interface{ oneOf(Disc, Box) }

// Disc has no kind.
type Disc struct{ Radius int }

// Box has no kind.
type Box struct{ Side int }

func (Disc) oneOf(Disc, Box) {}
func (Box) oneOf(Disc, Box)  {}

// Tiny is a byte.
type Tiny uint8

// Step encodes itself.
type Step int

// MarshalText returns nothing.
func (Step) MarshalText() ([]byte, error) { return nil, nil }

// Self decodes itself, and has a rule that cannot be used.
type Self struct {
	A int `validate:"email"`
}

// UnmarshalJSON accepts all.
func (*Self) UnmarshalJSON([]byte) error { return nil }

// Loop points to itself.
type Loop *Loop

// Unseen is a union whose kind no client can send.
type Unseen interface{ oneOf(Veiled) }

// Veiled is its member.
type Veiled struct {
	Kind string `json:"-" validate:"eq=a"`
}

func (Veiled) oneOf(Veiled) {}

// Structs with rules that cannot be used.
type (
	TextRule struct {
		A int `validate:"email"`
	}
	NoRule struct {
		A string `validate:"nosuchrule"`
	}
	NoParam struct {
		A string `validate:"min=x"`
	}
	SecondRule struct {
		A string `validate:"ascii|max=x"`
	}
	EmbeddedRule struct {
		Left `validate:"min=1"`
	}
	ElemRule struct {
		A map[string][]bool `validate:"dive,dive,oneof=a"`
	}
	KeyRule struct {
		A map[int]int `validate:"dive,keys,alpha,endkeys"`
	}
	SizeOfAny struct {
		A any `validate:"max=1"`
	}
	UniqueAny struct {
		A []any `validate:"unique"`
	}
	UniqueField struct {
		A []Left `validate:"unique=Nane"`
	}
	NoOther struct {
		A     string `validate:"eqfield=Below.Nane"`
		Below Left
	}
	OtherKind struct {
		A int `validate:"gtfield=B"`
		B int64
	}
	Promoted struct {
		A int `validate:"required_with=Name Nane"`
		Left
	}
	Condition struct {
		A string `validate:"required_if=B x"`
		B int
	}
	TimeParam struct {
		A time.Time `validate:"lt=2020"`
	}
	OnlyInt struct {
		A int `validate:"structonly,min=1"`
	}
	QuotedName struct {
		A int `json:"it's"`
	}
	TinyList  struct{ A []Tiny }
	StepKeys  struct{ A map[Step]int }
	HasSelf   struct{ A *Self }
	HasLoop   struct{ A Loop }
	HasUnseen struct{ A Unseen }
	DiveSelf  struct{ A []Ruled }
	DiveEmbed struct {
		A []struct {
			*Left `validate:"required"`
		}
	}
)

// Ruled decodes itself, and has a rule.
type Ruled struct {
	A int `validate:"min=1"`
}

// UnmarshalText accepts all.
func (*Ruled) UnmarshalText([]byte) error { return nil }

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
	TextKeys      struct{ M map[Key]int }
	BoolKeys      struct{ M map[bool]int }
	EmptyEnum     struct{ Level Level }
	Channel       struct{ C chan int }
	HasKindOfMany struct{ U KindOfMany }
	HasSameKind   struct{ U SameKind }
	HasOtherName  struct{ U OtherName }
	HasNotMembers struct{ U NotMembers }
	HasPointers   struct{ U OfPointers }
	HasEmpty      struct{ U Empty }
	NoDive        struct{ Items []Item }
	OneDive       struct {
		Items []map[string]*Item `validate:"max=3,dive"`
	}
	UnionDive  struct{ Shapes map[string]Shape }
	Deep       struct{ Below []*NoDive }
	TupleDives struct {
		contract.Tuple
		A [][]Item `validate:"dive,max=2"`
	}
	RuleTag struct {
		a int `validate:"max=1"`
	}
	Arguments struct {
		contract.Tuple
		a, b int
	}
	PointerEnum struct{ P Mark }
	NoKinds     struct{ S NoKind }
)

var _ = Arguments{}.a + Arguments{}.b + RuleTag{}.a

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
	E13 = contract.Notice[NoDive]("NoDive")
	E14 = contract.Notice[OneDive]("OneDive")
	E15 = contract.Notice[UnionDive]("UnionDive")
	E16 = contract.Notice[[]map[string]Deep]("Deep")
	E17 = contract.Notice[TupleDives]("TupleDives")
	E18 = contract.Notice[HasKindOfMany]("KindOfMany")
	E19 = contract.Notice[HasSameKind]("SameKind")
	E20 = contract.Notice[HasOtherName]("OtherName")
	E21 = contract.Notice[HasPointers]("OfPointers")
	E23 = contract.Notice[HasNotMembers]("NotMembers")
	E22 = contract.Notice[HasEmpty]("Empty")
	E24 = contract.Notice[RuleTag]("RuleTag")
	E25 = contract.Notice[Arguments]("Arguments")
	E26 = contract.Notice[PointerEnum]("PointerEnum")
	E27 = contract.Notice[NoKinds]("NoKinds")

	R1  = contract.Notice[TextRule]("TextRule")
	R2  = contract.Notice[NoRule]("NoRule")
	R3  = contract.Notice[NoParam]("NoParam")
	R4  = contract.Notice[SecondRule]("SecondRule")
	R5  = contract.Notice[EmbeddedRule]("EmbeddedRule")
	R6  = contract.Notice[ElemRule]("ElemRule")
	R7  = contract.Notice[KeyRule]("KeyRule")
	R8  = contract.Notice[SizeOfAny]("SizeOfAny")
	R9  = contract.Notice[UniqueAny]("UniqueAny")
	R10 = contract.Notice[UniqueField]("UniqueField")
	R11 = contract.Notice[NoOther]("NoOther")
	R12 = contract.Notice[OtherKind]("OtherKind")
	R13 = contract.Notice[Promoted]("Promoted")
	R14 = contract.Notice[Condition]("Condition")
	R15 = contract.Notice[TimeParam]("TimeParam")
	R16 = contract.Notice[OnlyInt]("OnlyInt")
	R17 = contract.Notice[QuotedName]("QuotedName")
	R18 = contract.Notice[TinyList]("TinyList")
	R19 = contract.Notice[StepKeys]("StepKeys")
	R20 = contract.Notice[HasSelf]("HasSelf")
	R21 = contract.Notice[HasLoop]("HasLoop")
	R22 = contract.Notice[HasUnseen]("HasUnseen")
	R23 = contract.Notice[DiveSelf]("DiveSelf")
	R24 = contract.Notice[DiveEmbed]("DiveEmbed")
)

// All has a value of each event's type, by the name of its declaration.
var All = map[string]any{
	"E1": Twice{}, "E2": SameTag{}, "E3": EmbeddedPointer{}, "E4": Itself{}, "E5": OptionString{}, "E6": TupleEmbeds{},
	"E7": TupleOrder{}, "E8": TextKeys{}, "E9": BoolKeys{}, "E10": EmptyEnum{}, "E11": Channel{}, "E12": TwiceBelow{},
	"E13": NoDive{}, "E14": OneDive{}, "E15": UnionDive{}, "E16": []map[string]Deep{}, "E17": TupleDives{},
	"E18": HasKindOfMany{}, "E19": HasSameKind{}, "E20": HasOtherName{}, "E21": HasPointers{}, "E22": HasEmpty{}, "E23": HasNotMembers{},
	"E24": RuleTag{}, "E25": Arguments{}, "E26": PointerEnum{}, "E27": NoKinds{},

	"R1":  TextRule{},
	"R2":  NoRule{},
	"R3":  NoParam{},
	"R4":  SecondRule{},
	"R5":  EmbeddedRule{},
	"R6":  ElemRule{},
	"R7":  KeyRule{},
	"R8":  SizeOfAny{},
	"R9":  UniqueAny{},
	"R10": UniqueField{},
	"R11": NoOther{},
	"R12": OtherKind{},
	"R13": Promoted{},
	"R14": Condition{},
	"R15": TimeParam{},
	"R16": OnlyInt{},
	"R17": QuotedName{},
	"R18": TinyList{},
	"R19": StepKeys{},
	"R20": HasSelf{},
	"R21": HasLoop{},
	"R22": HasUnseen{},
	"R23": DiveSelf{},
	"R24": DiveEmbed{},
}
