// Package odd declares events with Go types that are rarely used.
package odd

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"strconv"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// The events. Clients send them, and get back what they have sent.
const (
	RecursiveEvent = contract.Event[Recursive, Recursive]("recursive")
	MenuEvent      = contract.Event[Menu, Menu]("menu")
	GenericEvent   = contract.Event[Generic, Generic]("generic")
	EmbeddedEvent  = contract.Event[Embedded, Embedded]("embedded")
	MapsEvent      = contract.Event[Maps, Maps]("maps")
	ListsEvent     = contract.Event[Lists, Lists]("lists")
	LeavesEvent    = contract.Event[Leaves, Leaves]("leaves")
	UnionsEvent    = contract.Event[Unions, Unions]("unions")
	KindsEvent     = contract.Event[Kinds, Kinds]("kinds")
	LooseEvent     = contract.Event[Loose, contract.None]("loose")
	HiddenEvent    = contract.Event[Account, Account]("hidden")
	WordsEvent     = contract.Event[Words, Words]("words")
	PartsEvent     = contract.Event[Parts, Parts]("parts")
	PointerEvent   = contract.Event[Opt, Opt]("pointer")

	Paid   = contract.Notice[Bill]("paid")
	Signed = contract.Event[Sign, contract.None]("signed")
)

// Recursive has types that contain themselves.
type Recursive struct {
	Nested Nested          `json:"nested"`
	Dir    Dir             `json:"dir"`
	Next   *Recursive      `json:"next"`
	Many   []*Recursive    `json:"many" validate:"max=2,dive"`
	Either Either          `json:"either,omitempty" validate:"omitempty"`
	Lists  map[string]Loop `json:"lists"`
}

// Nested is a list of itself.
type Nested []Nested

// Dir is a map of itself.
type Dir map[string]Dir

// Loop contains itself through another type.
type (
	Loop []loop
	loop struct{ Loop Loop }
)

// Menu contains itself in a struct without a name.
type Menu []struct {
	Title string `json:"title" validate:"min=1"`
	Sub   Menu   `json:"sub,omitempty" validate:"omitempty,max=2,dive"`
}

// Either is a union that contains itself.
type Either interface{ oneOf(Leaf, Node) }

// Leaf is a member.
type Leaf struct {
	Kind string `json:"kind" validate:"eq=leaf"`
}

// Node is a member.
type Node struct {
	Kind  string            `json:"kind" validate:"eq=node"`
	Left  Either            `json:"left"`
	Right map[string]Either `json:"right" validate:"dive"`
}

func (Leaf) oneOf(Leaf, Node) {}
func (Node) oneOf(Leaf, Node) {}

// Generic has generic types.
type Generic struct {
	Page    Page[Item]                 `json:"page"`
	Pages   Page[*Page[Item]]          `json:"pages"`
	Inline  Page[struct{ A int8 }]     `json:"inline"`
	Pair    Pair[Level, []uint8]       `json:"pair"`
	Numbers Pair[int16, time.Duration] `json:"numbers"`
	Option[string]
}

// Page is generic.
type Page[T any] struct {
	Items []T `json:"items" validate:"max=2,dive"`
	Last  *T  `json:"last,omitempty"`
}

// Pair is generic.
type Pair[K comparable, V any] struct {
	Values map[K]V `json:"values"`
}

// Option is generic, and embedded.
type Option[T any] struct {
	Value *T `json:"value"`
}

// Item is an element.
type Item struct {
	Name string `json:"name" validate:"min=1,max=3"`
}

// Embedded embeds.
type Embedded struct {
	*Part
	Either `json:",omitempty" validate:"omitempty"`
	Named  `json:"named"`
	inner
	Name int `json:"name"` // hides that of inner
}

// Part is embedded by its pointer.
type Part struct {
	A int  `json:"a"`
	B *int `json:"b"`
}

// Named is embedded with a name.
type Named struct {
	C bool `json:"c"`
}

type inner struct {
	Item
	D string `json:"d,omitempty" validate:"max=2"`
}

// Maps have keys.
type Maps struct {
	Int8   map[int8]string           `json:"int8"`
	Uint64 map[uint64][]byte         `json:"uint64"`
	Rank   map[Rank]*Item            `json:"rank" validate:"dive"`
	Level  map[Level]map[string]bool `json:"level"`
	Named  map[name]*[]int           `json:"named"`
	Any    map[string]any            `json:"any"`
	Nil    map[string]map[string]int `json:"nil,omitempty"`
}

type name string

// Level is an enum. Its keys in maps are its constants: encoding/json does not call MarshalText for
// strings.
type Level string

// The levels.
const (
	Low  Level = "low"
	High Level = "high"
)

// Values returns all levels.
func (Level) Values() []Level { return []Level{Low, High} }

// Rank is an enum of bytes, whose lists need another type.
type Rank int8

// The ranks.
const (
	First Rank = 1
	Last  Rank = -2
)

// Values returns all ranks.
func (Rank) Values() []Rank { return []Rank{First, Last} }

// String has words for people.
func (r Rank) String() string { return "rank " + strconv.Itoa(int(r)) }

// Lists have lists.
type Lists struct {
	None   [0]int       `json:"none"`
	Pair   [2]*Item     `json:"pair" validate:"dive"`
	Long   [17]bool     `json:"long"`
	Bytes  [3]byte      `json:"bytes"`
	Blobs  [2][]byte    `json:"blobs"`
	Blob   blob         `json:"blob"`
	Matrix [][2][]int8  `json:"matrix"`
	Maybe  *[]*[]string `json:"maybe"`
	Levels []Level      `json:"levels" validate:"max=2,dive,oneof=low"`
	Ranks  []*Rank      `json:"ranks"`
	Empty  inside       `json:"empty,omitempty"`
	Zero   inside       `json:"zero,omitzero"`
}

type blob []byte

type inside struct {
	List []int `json:"list"`
}

// Leaves decode themselves, or take everything.
type Leaves struct {
	Duration time.Duration      `json:"duration" validate:"min=1s"`
	Time     *time.Time         `json:"time"`
	Zero     time.Time          `json:"zero,omitzero"`
	Raw      json.RawMessage    `json:"raw"`
	Raws     []json.RawMessage  `json:"raws,omitempty"`
	Number   json.Number        `json:"number"`
	Any      any                `json:"any"`
	Anything anything           `json:"anything"`
	Value    socketbridge.Value `json:"value"`
	Address  *netip.Addr        `json:"address"`
	Big      big.Int            `json:"big"`
	Nick     Nick               `json:"nick,omitempty" validate:"min=2"`
	Opt      Opt                `json:"opt"`
	Needed   *any               `json:"needed" validate:"required"`
}

type anything any

// Opt is a pointer with a name.
type Opt *int

// Nick decodes itself from text.
type Nick string

// UnmarshalText accepts all texts.
func (n *Nick) UnmarshalText(text []byte) error { *n = Nick(text); return nil }

// Unions are in other types.
type Unions struct {
	One   Shape            `json:"one"`
	Maybe *Shape           `json:"maybe" validate:"omitempty"`
	List  []Shape          `json:"list" validate:"max=2,dive"`
	Pair  [2]Shape         `json:"pair" validate:"dive"`
	Map   map[string]Shape `json:"map" validate:"dive"`
}

// Shape is a union. Outside of it, the kind of a Circle can be missing.
type Shape interface{ oneOf(Circle, Square) }

// Circle is a member.
type Circle struct {
	Kind   string `json:"kind,omitempty" validate:"omitempty,eq=circle"`
	Radius int    `json:"radius"`
}

// Square is a member.
type Square struct {
	contract.Strict
	Kind string `json:"kind" validate:"eq=square"`
	Side int    `json:"side" validate:"max=3"`
}

func (Circle) oneOf(Circle, Square) {}
func (Square) oneOf(Circle, Square) {}

// Kinds are outside of unions.
type Kinds struct {
	Kind      string  `json:"kind,omitempty" validate:"omitempty,eq=x"`
	Needed    string  `json:"needed,omitempty" validate:"eq=y"`
	Circle    Circle  `json:"circle"`
	Unchecked Square  `json:"unchecked" validate:"-"`
	Pointer   *Circle `json:"pointer"`
	Shape     Shape   `json:"shape" validate:"-"`
}

// Loose is only received.
type Loose struct {
	contract.Tuple
	Figure Figure
	Dot    Dot
}

// Figure is a union that is only received.
type Figure interface{ oneOf(Dot, Line) }

// Dot is a member, whose kind need not be sent outside of the union.
type Dot struct {
	Kind string `json:"kind,omitempty" validate:"omitempty,eq=dot"`
	X    int    `json:"x"`
}

// Line is a member.
type Line struct {
	Kind string `json:"kind" validate:"eq=line"`
}

func (Dot) oneOf(Dot, Line)  {}
func (Line) oneOf(Dot, Line) {}

// Account has rules for fields that no client can send.
type Account struct {
	Name string `json:"name" validate:"min=1"`
	Hash string `json:"-" validate:"required"`
	Meta struct {
		By string `validate:"required"`
	} `json:"-"`
	Secret
}

// Secret is embedded, and its field is hidden by that of Account.
type Secret struct {
	Name string `json:"name" validate:"required,max=0"`
	Key  string `json:"key,omitempty" validate:"max=2"`
}

// Words are arguments whose names are words of TypeScript.
type Words struct {
	contract.Tuple
	If, For, Class, Import, Ack, Return, Enum, Null, Await, Interface, Arguments int
	Été, Yield, Typeof                                                           *int
}

// Parts embed structs that have rules of their own.
type Parts struct {
	Whole  whole   `json:"whole"`
	Filled filled  `json:"filled"`
	Absent *whole  `json:"absent"`
	Zero   filled  `json:"zero,omitzero"`
	List   []whole `json:"list" validate:"dive"`
}

type (
	whole struct {
		*Part `validate:"required"`
		Other *int `json:"other"`
	}
	filled struct {
		Part `validate:"required"`
	}
)

// Bill is only sent, and has types that only encode themselves.
type Bill struct {
	Sum   Money           `json:"sum"`
	Stage Stage           `json:"stage"`
	By    map[Level]Money `json:"by"`
	Label Label           `json:"label"`
	Whole Whole           `json:"whole"`
}

// Money encodes itself.
type Money struct{ Cents int }

// MarshalJSON returns a string.
func (m Money) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.Itoa(m.Cents)), nil
}

// Stage encodes itself as text, but is an integer.
type Stage int

// MarshalText returns a word.
func (s Stage) MarshalText() ([]byte, error) { return []byte("stage " + strconv.Itoa(int(s))), nil }

// Label is a string in both forms.
type Label string

// MarshalText returns the label in quotes.
func (l Label) MarshalText() ([]byte, error) { return []byte("«" + l + "»"), nil }

// Whole is a struct that encodes itself, because it embeds Stage.
type Whole struct {
	Stage
	Name string
}

// Sign is only received, and has types that only encode, or only decode themselves.
type Sign struct {
	Sum   int      `json:"sum"`
	Stage Step     `json:"stage"`
	Secs  Secs     `json:"secs"`
	Names []Letter `json:"names"`
}

// Step encodes itself as text. It is read as an integer.
type Step int

// MarshalText returns a word.
func (s Step) MarshalText() ([]byte, error) { return []byte("step"), nil }

// Secs decodes itself from text.
type Secs int

// UnmarshalText reads a duration.
func (s *Secs) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Secs(d / time.Second)
	return err
}

// Letter is a byte that encodes itself, so that a list is no base64.
type Letter uint8

// MarshalText returns the letter.
func (l Letter) MarshalText() ([]byte, error) { return []byte{byte(l)}, nil }

// UnmarshalText reads the letter.
func (l *Letter) UnmarshalText(text []byte) error { *l = Letter(append(text, 0)[0]); return nil }

// Keys of the session.
const (
	ListKey    = fibersession.Key[[]Item]("list")
	PointerKey = fibersession.Key[*Item]("pointer")
	NestedKey  = fibersession.Key[map[string][]int]("nested")
	BlobKey    = fibersession.Key[[]byte]("blob")
	BothKey    = fibersession.Key[Saved]("both")
	OnlyKey    = fibersession.Key[Only]("only")
	DirKey     = fibersession.Key[Dir]("dir")
	CircleKey  = fibersession.Key[Circle]("circle")
	AnyKey     = fibersession.Key[any]("any")
	MoneyKey   = fibersession.Key[Money]("money")

	SavedEvent = contract.Event[Saved, Saved]("saved")
)

// Saved is in events and in sessions.
type Saved struct {
	List []Item          `json:"list" validate:"dive"`
	Map  map[string]Dir  `json:"map"`
	Blob []byte          `json:"blob"`
	More *Saved          `json:"more"`
	Kept []string        `json:"kept,omitempty"`
	Pair [1][]int        `json:"pair"`
	Refs []*[]int        `json:"refs"`
	Need *int            `json:"need" validate:"required"`
	Only map[string]Only `json:"only"`
}

// Only has the same form everywhere but for its list.
type Only struct {
	Tags []string `json:"tags"`
	Icon []byte   `json:"icon,omitempty"`
}

// Register registers a handler for each event, which answers with what it gets.
func Register(on socketbridge.Registrar) {
	RecursiveEvent.Handle(on, echo[Recursive])
	MenuEvent.Handle(on, echo[Menu])
	GenericEvent.Handle(on, echo[Generic])
	EmbeddedEvent.Handle(on, echo[Embedded])
	MapsEvent.Handle(on, echo[Maps])
	ListsEvent.Handle(on, echo[Lists])
	LeavesEvent.Handle(on, echo[Leaves])
	UnionsEvent.Handle(on, echo[Unions])
	KindsEvent.Handle(on, echo[Kinds])
	LooseEvent.Handle(on, none[Loose])
	HiddenEvent.Handle(on, echo[Account])
	WordsEvent.Handle(on, echo[Words])
	PartsEvent.Handle(on, echo[Parts])
	PointerEvent.Handle(on, echo[Opt])
	Signed.Handle(on, none[Sign])
	SavedEvent.Handle(on, echo[Saved])
}

func echo[T any](_ *socketbridge.Packet, v T) (T, error) { return v, nil }

func none[T any](*socketbridge.Packet, T) (n contract.None, _ error) { return n, nil }
