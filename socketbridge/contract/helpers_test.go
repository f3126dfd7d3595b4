package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

var silent = slog.New(slog.DiscardHandler)

// Level is an enum.
type Level string

const (
	Low  Level = "low"
	High Level = "high"
)

func (Level) Values() []Level { return []Level{Low, High} }

// Shape is a Circle or a Square.
type Shape interface{ oneOf(Circle, Square) }

// Circle is a member of Shape, with binary data.
type Circle struct {
	Kind   string  `json:"kind" validate:"eq=circle"`
	Radius float64 `json:"radius" validate:"max=1000"`
	Icon   []byte  `json:"icon,omitempty"`
}

// Square is a member of Shape that has other shapes.
type Square struct {
	Kind   string  `json:"kind" validate:"eq=square"`
	Side   float64 `json:"side"`
	Inside []Shape `json:"inside,omitempty" validate:"dive"`
}

func (Circle) oneOf(Circle, Square) {}
func (Square) oneOf(Circle, Square) {}

// Base is embedded.
type Base struct {
	ID   int       `json:"id" validate:"min=1"`
	Made time.Time `json:"made"`
}

// Page is generic.
type Page[T any] struct {
	Items []T `json:"items" validate:"max=3,dive"`
	Next  *T  `json:"next"`
}

// Item is an element.
type Item struct {
	Name  string `json:"name" validate:"min=1,max=10"`
	Level Level  `json:"level"`
}

// Everything has a field of each shape.
type Everything struct {
	contract.Strict
	Base
	Flag   bool              `json:"flag"`
	Small  int8              `json:"small"`
	Big    uint64            `json:"big"`
	Ratio  float32           `json:"ratio"`
	Note   *string           `json:"note"`
	Level  Level             `json:"level"`
	Tags   map[string]string `json:"tags" validate:"dive,max=5"`
	Ports  map[int]bool      `json:"ports,omitempty"`
	Data   []byte            `json:"data"`
	Pair   [2]int            `json:"pair"`
	Page   Page[Item]        `json:"page"`
	Extra  any               `json:"extra,omitempty"`
	Raw    json.RawMessage   `json:"raw,omitempty"`
	Number json.Number       `json:"number,omitempty"`
	Tree   *Tree             `json:"tree"`
	Plain  string
}

// Tree contains itself.
type Tree struct {
	Left  *Tree `json:"left"`
	Right *Tree `json:"right"`
	Value int   `json:"value"`
}

// Move is several arguments, the last of them optional.
type Move struct {
	contract.Tuple
	X, Y  int16
	Label *string
	Color Level `json:",omitempty"`
}

// Upload is several arguments with binary data, and types that decode themselves.
type Upload struct {
	contract.Tuple
	contract.Strict
	Name   string `validate:"min=1,max=20"`
	Data   []byte
	Rank   Rank
	Code   Code
	After  Secs
	Meta   socketbridge.Value
	Chunks map[string][]byte `json:",omitempty"`
	Shapes []Shape           `json:",omitempty" validate:"max=3,dive"`
	Size   *uint16
}

// Rank is an enum of integers.
type Rank int8

func (Rank) Values() []Rank { return []Rank{1, 2, -3} }

// Code decodes itself from a string that begins with #.
type Code string

func (c *Code) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if !strings.HasPrefix(s, "#") {
		return errors.New("no code")
	}
	*c = Code(s)
	return nil
}

// Secs decodes itself from the text of a duration.
type Secs time.Duration

func (s *Secs) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Secs(d)
	return err
}

func (s Secs) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

const (
	Put     = contract.Event[Everything, Everything]("put")
	Go      = contract.Event[Move, Move]("go")
	Draw    = contract.Event[Shape, Shape]("draw")
	Ping    = contract.Event[contract.None, contract.None]("ping")
	Double  = contract.Event[int, int]("double")
	Perhaps = contract.Event[*int, *int]("perhaps")
	List    = contract.Event[[]Item, []Item]("list")
	Send    = contract.Event[Upload, Upload]("send")
	Said    = contract.Notice[Move]("said")
	Drawn   = contract.Notice[Shape]("drawn")
	Sure    = contract.Ask[Item, Level]("sure")
)

// newServer returns a server that is shut down at the end of the test. It has no limits of rate.
func newServer(t testing.TB, config ...socketbridge.Config) *socketbridge.Server {
	t.Helper()
	cfg := socketbridge.Config{Logger: silent}
	if len(config) > 0 {
		cfg = config[0]
	}
	cfg.Limits.EventsPerSecond, cfg.Limits.BytesPerSecond = -1, -1
	io := socketbridge.New(cfg)
	t.Cleanup(func() {
		if err := io.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return io
}

// echo returns what it gets, and calls reached.
func echo[T any](reached func()) func(*socketbridge.Packet, T) (T, error) {
	return func(_ *socketbridge.Packet, in T) (T, error) {
		reached()
		return in, nil
	}
}

// register registers a handler for each event of this file.
func register(on socketbridge.Registrar, reached func()) {
	Put.Handle(on, echo[Everything](reached))
	Go.Handle(on, echo[Move](reached))
	Draw.Handle(on, echo[Shape](reached))
	Ping.Handle(on, echo[contract.None](reached))
	Double.Handle(on, func(_ *socketbridge.Packet, n int) (int, error) { reached(); return 2 * n, nil })
	Perhaps.Handle(on, echo[*int](reached))
	List.Handle(on, echo[[]Item](reached))
	Send.Handle(on, echo[Upload](reached))
}
