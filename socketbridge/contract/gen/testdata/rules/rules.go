// Package rules declares events with each rule that has a counterpart in JSON Schema, and with
// some that have none.
package rules

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen/testdata/rules/shared"
)

// The events. Clients send them, and get back what they have sent.
const (
	TextsEvent    = contract.Event[Texts, Texts]("texts")
	PatternsEvent = contract.Event[Patterns, Patterns]("patterns")
	NumbersEvent  = contract.Event[Numbers, Numbers]("numbers")
	ListsEvent    = contract.Event[Lists, Lists]("lists")
	MissingEvent  = contract.Event[Missing, Missing]("missing")
	MixedEvent    = contract.Event[Mixed, Mixed]("mixed")
	ShapeEvent    = contract.Event[Shape, Shape]("a shape/~é")
	PairEvent     = contract.Event[Pair, Pair]("pair")
	ManyEvent     = contract.Event[Many, contract.None]("many")
	ItemsEvent    = contract.Event[[]Item, []Item]("items")
	NestedEvent   = contract.Event[[][]Item, [][]Item]("nested")
	RowsEvent     = contract.Event[map[string]*[2]*[]Item, map[string]*[2]*[]Item]("rows")
	NamesEvent    = contract.Event[map[string]*Item, map[string]*Item]("names")
	PerhapsEvent  = contract.Event[*Item, *Item]("perhaps")
	NothingEvent  = contract.Event[contract.None, contract.None]("nothing")

	Told  = contract.Notice[Mixed]("told")
	Moved = contract.Notice[Pair]("pair")
	Sure  = contract.Ask[Item, *Level]("sure")

	// Last is the last item.
	Last = fibersession.Key[Item]("last")
	// Colors are chosen.
	Colors = fibersession.Key[map[shared.Color]int]("colors")
)

// Texts are strings.
type Texts struct {
	contract.Strict
	Required string  `json:"required" validate:"required"`
	Min      string  `json:"min" validate:"min=2"`
	Max      string  `json:"max" validate:"max=3"`
	Both     string  `json:"both" validate:"gte=1,lte=4,ne=no"`
	Strictly string  `json:"strictly" validate:"gt=1,lt=0x4"`
	Len      string  `json:"len" validate:"len=3"`
	One      string  `json:"one" validate:"oneof=a b 'c d'"`
	None     string  `json:"none" validate:"noneof=a b"`
	Eq       string  `json:"eq" validate:"eq=it"`
	Or       string  `json:"or" validate:"numeric|len=2"`
	Omit     string  `json:"omit" validate:"omitempty,min=3,max=4,alpha"`
	Prefix   string  `json:"prefix" validate:"startswith=a.,endswith=z"`
	Contains string  `json:"contains" validate:"contains=0x2C,excludes=x,startsnotwith=-,endsnotwith=-"`
	Pointer  *string `json:"pointer" validate:"omitempty,max=2"`
	Needed   *string `json:"needed" validate:"required,max=2"`
	Level    Level   `json:"level" validate:"oneof=low high"`
}

// Patterns are strings of a form.
type Patterns struct {
	Email     string `json:"email,omitempty" validate:"omitempty,email"`
	URL       string `json:"url,omitempty" validate:"omitempty,url"`
	IP        string `json:"ip,omitempty" validate:"omitempty,ip"`
	IPv4      string `json:"ipv4,omitempty" validate:"omitempty,ipv4"`
	IPv6      string `json:"ipv6,omitempty" validate:"omitempty,ipv6"`
	UUID      string `json:"uuid,omitempty" validate:"omitempty,uuid"`
	UUID4     string `json:"uuid4,omitempty" validate:"omitempty,uuid4"`
	ULID      string `json:"ulid,omitempty" validate:"omitempty,ulid"`
	Alpha     string `json:"alpha,omitempty" validate:"omitempty,alpha"`
	Letters   string `json:"letters,omitempty" validate:"omitempty,alphaunicode"`
	Alphanum  string `json:"alphanum,omitempty" validate:"omitempty,alphanum"`
	ASCII     string `json:"ascii,omitempty" validate:"omitempty,ascii"`
	Printable string `json:"printable,omitempty" validate:"omitempty,printascii"`
	Number    string `json:"number,omitempty" validate:"omitempty,number"`
	Hex       string `json:"hex,omitempty" validate:"omitempty,hexadecimal"`
	Color     string `json:"color,omitempty" validate:"omitempty,hexcolor"`
	Phone     string `json:"phone,omitempty" validate:"omitempty,e164"`
	Base64    string `json:"base64,omitempty" validate:"omitempty,base64"`
	SHA256    string `json:"sha256,omitempty" validate:"omitempty,sha256"`
	Version   string `json:"version,omitempty" validate:"omitempty,semver"`
	Host      string `json:"host,omitempty" validate:"omitempty,hostname_rfc1123"`
	OldHost   string `json:"oldHost,omitempty" validate:"omitempty,hostname"`
	Words     string `json:"words,omitempty" validate:"omitempty,alphaspace"`
	Mixed     string `json:"mixed,omitempty" validate:"omitempty,alphanumspace"`
	Unicode   string `json:"unicode,omitempty" validate:"omitempty,alphanumunicode"`
	Numeric   string `json:"numeric,omitempty" validate:"omitempty,numeric"`
	URL64     string `json:"url64,omitempty" validate:"omitempty,base64url"`
	MD5       string `json:"md5,omitempty" validate:"omitempty,md5"`
	SHA384    string `json:"sha384,omitempty" validate:"omitempty,sha384"`
	SHA512    string `json:"sha512,omitempty" validate:"omitempty,sha512"`
	Mongo     string `json:"mongo,omitempty" validate:"omitempty,mongodb"`
	UUID7     string `json:"uuid7,omitempty" validate:"omitempty,uuid7"`
}

// Numbers are in ranges.
type Numbers struct {
	Int8     int8          `json:"int8"`
	Uint8    uint8         `json:"uint8"`
	Int16    int16         `json:"int16" validate:"required"`
	Uint16   uint16        `json:"uint16" validate:"min=10,max=0x20"`
	Int32    int32         `json:"int32" validate:"gt=-5,lt=5,ne=0"`
	Uint32   uint32        `json:"uint32" validate:"gte=1,lte=2"`
	Int64    int64         `json:"int64" validate:"oneof=1 2 30"`
	Uint64   uint64        `json:"uint64" validate:"eq=7"`
	Float32  float32       `json:"float32"`
	Float64  float64       `json:"float64" validate:"min=-1.5,max=2.5"`
	Required float64       `json:"required" validate:"required,len=3"`
	Omit     int           `json:"omit" validate:"omitempty,min=3"`
	Bool     bool          `json:"bool" validate:"required"`
	False    bool          `json:"false" validate:"eq=false"`
	Duration time.Duration `json:"duration" validate:"max=2us"`
	Number   json.Number   `json:"number"`
	Pointer  *int          `json:"pointer" validate:"required"`
	Rank     Rank          `json:"rank"`
}

// Lists are lists and maps.
type Lists struct {
	Required []string            `json:"required" validate:"required"`
	Min      []string            `json:"min" validate:"min=1,max=2,dive,max=2"`
	Len      []int               `json:"len" validate:"len=2,unique"`
	Ne       []int               `json:"ne" validate:"ne=1"`
	Pointers []*string           `json:"pointers" validate:"dive,max=2"`
	Nulls    []*string           `json:"nulls" validate:"dive,omitempty,max=2"`
	Matrix   [][]int             `json:"matrix" validate:"max=2,dive,min=1,dive,min=1"`
	Array    [2]Item             `json:"array" validate:"dive"`
	Items    map[string]Item     `json:"items" validate:"max=2,dive,keys,min=2,endkeys"`
	Ports    map[uint16]bool     `json:"ports" validate:"lt=3"`
	Levels   map[Level][]Item    `json:"levels" validate:"dive,dive"`
	Ranks    map[Rank]string     `json:"ranks" validate:"dive,oneof=a b"`
	Shapes   []Shape             `json:"shapes" validate:"dive"`
	Omit     []int               `json:"omit" validate:"omitzero,min=2"`
	Shared   []shared.Item       `json:"shared" validate:"dive"`
	Colors   map[string][]string `json:"colors"`
}

// Missing are fields that can be missing, unless a rule refuses what they are then.
type Missing struct {
	Plain    string            `json:"plain,omitempty"`
	Min      string            `json:"min,omitempty" validate:"min=1"`
	Max      string            `json:"max,omitempty" validate:"max=1"`
	Email    string            `json:"email,omitempty" validate:"email"`
	ASCII    string            `json:"ascii,omitempty" validate:"ascii"`
	Int      int               `json:"int,omitempty" validate:"gt=0"`
	Zero     int               `json:"zero,omitempty" validate:"lt=1"`
	List     []int             `json:"list,omitempty" validate:"required"`
	Empty    []int             `json:"empty,omitempty" validate:"max=1"`
	Map      map[string]string `json:"map,omitempty" validate:"min=1"`
	Nil      map[string]string `json:"nil,omitempty" validate:"omitnil,min=1"`
	Pointer  *int              `json:"pointer" validate:"max=3"`
	Nullable *int              `json:"nullable" validate:"omitempty,max=3"`
	Dive     *[]Item           `json:"dive" validate:"dive"`
	Struct   Item              `json:"struct,omitzero"`
	Free     Übrig             `json:"free,omitzero"`
	Skipped  Item              `json:"skipped,omitzero" validate:"-"`
	Only     Item              `json:"only,omitzero" validate:"structonly"`
	Shape    Shape             `json:"shape,omitempty" validate:"omitempty"`
	Any      any               `json:"any,omitempty"`
	Needed   any               `json:"needed,omitempty" validate:"required"`
	Bool     *bool             `json:"bool" validate:"required"`
	Array    [2]Item           `json:"array,omitzero" validate:"dive"`
	Parted   Parted            `json:"parted,omitzero"`
}

// Mixed has the rest.
type Mixed struct {
	Base
	Time    time.Time       `json:"time"`
	Data    []byte          `json:"data"`
	Raw     json.RawMessage `json:"raw"`
	Any     any             `json:"any"`
	Address netip.Addr      `json:"address"`
	Color   shared.Color    `json:"color"`
	Tree    *Tree           `json:"tree"`
	Inline  struct {
		A int `json:"a" validate:"max=9"`
	} `json:"in-line"`
	Item    *Item `json:"item" validate:"required"`
	Skipped Item  `json:"skipped" validate:"-"`
}

// Base is embedded.
type Base struct {
	ID   int    `json:"id" validate:"min=1"`
	Name string `json:"name,omitempty" validate:"max=3"`
}

// Cross has rules that JSON Schema does not have.
type Cross struct {
	Password string    `json:"password" validate:"min=1"`
	Again    string    `json:"again" validate:"eqfield=Password"`
	Zone     string    `json:"zone" validate:"omitempty,timezone,max=20"`
	Born     time.Time `json:"born" validate:"lt"`
	Data     []byte    `json:"data" validate:"max=3"`
	Item     Item      `json:"item" validate:"required"`
	// Picture is binary data.
	Picture []byte `json:"picture,omitempty" validate:"omitempty,max=100"`
}

// Parted has an embedded pointer, whose fields are optional.
type Parted struct {
	*Part
}

// Part is embedded.
type Part struct {
	A int `json:"a" validate:"min=1"`
	B int `json:"b" validate:"min=1"`
}

// Events for which the server and the schema differ.
const (
	Crossed   = contract.Event[Cross, Cross]("cross")
	PartEvent = contract.Event[Parted, Parted]("parted")
)

// Item is an element.
type Item struct {
	Name string `json:"name" validate:"min=1,max=3"`
}

// Übrig has no rules, and letters that AsyncAPI does not allow in names.
type Übrig struct {
	Name string `json:"name"`
}

// Level is an enum.
type Level string

// The levels.
const (
	Low  Level = "low"
	High Level = "high"

	unlisted Level = "unlisted"
)

// Values returns all levels but unlisted.
func (Level) Values() []Level { return []Level{Low, High} }

var _ = unlisted

// Rank is an enum of integers.
type Rank int8

// The ranks.
const (
	First Rank = iota + 1
	Second
)

// Values returns all ranks.
func (Rank) Values() []Rank { return slices.Clone([]Rank{First, Second}) }

// Shape is a Circle or a Square.
type Shape interface{ oneOf(Circle, Square) }

// Circle has a kind and a rule.
type Circle struct {
	Kind   string  `json:"kind" validate:"eq=circle"`
	Radius float64 `json:"radius" validate:"gt=0"`
}

// Square has other shapes. Its kind may not be missing, whatever its tag says.
type Square struct {
	contract.Strict
	Kind   string  `json:"kind,omitempty" validate:"eq=square"`
	Inside []Shape `json:"inside,omitempty" validate:"max=2,dive"`
}

func (Circle) oneOf(Circle, Square) {}
func (Square) oneOf(Circle, Square) {}

// Tree contains itself.
type Tree struct {
	Left, Right *Tree
	Value       int8 `validate:"min=0"`
}

// Pair is several arguments.
type Pair struct {
	contract.Tuple
	contract.Strict
	X     int     `validate:"min=1"`
	Y     float32 `json:",omitempty" validate:"max=5"`
	Label *string `validate:"omitempty,min=2"`
}

// Many is several arguments. The last of them is required by its rule.
type Many struct {
	contract.Tuple
	Item Item
	X    int    `json:",omitempty"`
	Last string `json:",omitempty" validate:"required"`
}

// Register registers a handler for each event, which answers with what it gets.
func Register(on socketbridge.Registrar) {
	TextsEvent.Handle(on, echo[Texts])
	PatternsEvent.Handle(on, echo[Patterns])
	NumbersEvent.Handle(on, echo[Numbers])
	ListsEvent.Handle(on, echo[Lists])
	MissingEvent.Handle(on, echo[Missing])
	MixedEvent.Handle(on, echo[Mixed])
	ShapeEvent.Handle(on, echo[Shape])
	PairEvent.Handle(on, echo[Pair])
	ManyEvent.Handle(on, func(*socketbridge.Packet, Many) (none contract.None, _ error) { return none, nil })
	ItemsEvent.Handle(on, echo[[]Item])
	NestedEvent.Handle(on, echo[[][]Item])
	RowsEvent.Handle(on, echo[map[string]*[2]*[]Item])
	NamesEvent.Handle(on, echo[map[string]*Item])
	PerhapsEvent.Handle(on, echo[*Item])
	NothingEvent.Handle(on, echo[contract.None])
	Crossed.Handle(on, echo[Cross])
	PartEvent.Handle(on, echo[Parted])
}

func echo[T any](_ *socketbridge.Packet, v T) (T, error) { return v, nil }
