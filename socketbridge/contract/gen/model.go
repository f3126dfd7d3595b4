package gen

import (
	"cmp"
	"reflect"
	"slices"
)

// Contract is what packages declare. All slices are sorted by name.
type Contract struct {
	// Title is the last part of the module's path, and Version is 1.0.0, or 2.0.0 if that path
	// ends with /v2, and so on. AsyncAPI writes them.
	Title, Version string
	Doc            string  // comment of the only package
	Events         []Event // sent by clients: contract.Event
	Asks           []Event // sent by the server: contract.Notice and contract.Ask
	Keys           []Key
	Types          []*Type // those with a name
}

// Event is an event and its arguments.
type Event struct {
	Name, Doc string
	In, Out   Args
	Answered  bool // false for a Notice
}

// Args are the arguments of an event or of an answer.
type Args struct {
	List   []Field
	Tuple  bool // the Go type embeds contract.Tuple
	Strict bool // more arguments are refused
}

// Key is a key of the session.
type Key struct {
	Name, Doc string
	Type      *Type
	Pointer   bool // the Go type is a pointer
}

// Kind is the form of a type on the wire.
type Kind int

// The kinds of types.
const (
	Any Kind = iota
	Bool
	String
	Number
	Integer
	Binary
	Time
	Text // a string whose form only the Go type knows
	List
	Map
	Struct
	Union
	Enum
)

// Type is a Go type as it is on the wire.
type Type struct {
	Kind      Kind
	Name, Doc string   // empty for types without a name
	Go        string   // name of a type that decodes itself
	Bits      int      // of an Integer, or a Number; 0 for json.Number
	Unsigned  bool     // of an Integer
	Duration  bool     // a time.Duration, whose rules can be durations
	Elem      *Type    // of a List or a Map
	NullElem  bool     // elements are pointers, which may be null
	Len       int      // of an array; -1 for a slice
	IntKeys   bool     // of a Map
	Unsigneds bool     // keys are not negative
	Keys      []string // of a Map whose keys are an enum
	Fields    []Field  // of a Struct
	Embedded  []Embedded
	Strict    bool     // other fields are refused
	Members   []*Type  // of a Union
	Values    []string // of an Enum, as JSON
	Ruled     bool     // of a type that decodes itself: there are rules in it
	Received  bool     // clients send values
	Sent      bool     // the server sends values
	Stored    bool     // values are in sessions
	StoredAs  string   // the name in TypeScript of a Stored type, whose values differ from those of events

	standIn reflect.Type // for rules
}

// Embedded is an embedded struct that has rules of its own.
type Embedded struct {
	Name    string
	Pointer bool
	Rules   []Rule
}

// Field is a field of a struct, or an argument.
type Field struct {
	Name, Doc string
	Type      *Type
	Optional  bool   // may be missing, if the rules allow it
	Omitted   bool   // the server leaves it out when it is empty
	Nullable  bool   // may be null, if the rules allow it
	Const     string // the only value that fits, if it is not empty
	Pointer   bool   // the Go type is a pointer
	Below     bool   // below an embedded pointer
	Rules     Rules
}

// mark sets Received, Sent and Stored of all types.
func (c *Contract) mark() {
	for _, e := range c.Events {
		markArgs(e.In, func(t *Type) *bool { return &t.Received })
		markArgs(e.Out, func(t *Type) *bool { return &t.Sent })
	}
	for _, e := range c.Asks {
		markArgs(e.In, func(t *Type) *bool { return &t.Sent })
		markArgs(e.Out, func(t *Type) *bool { return &t.Received })
	}
	for _, k := range c.Keys {
		markBelow(k.Type, func(t *Type) *bool { return &t.Stored })
	}
}

func markArgs(a Args, of func(*Type) *bool) {
	for _, f := range a.List {
		markBelow(f.Type, of)
	}
}

// markBelow sets a mark of t and of all types in it.
func markBelow(t *Type, of func(*Type) *bool) {
	if t == nil || *of(t) {
		return
	}
	*of(t) = true
	markBelow(t.Elem, of)
	for _, f := range t.Fields {
		markBelow(f.Type, of)
	}
	for _, m := range t.Members {
		markBelow(m, of)
	}
}

// types returns the types with a name that are used.
func (c *Contract) types() (named []*Type) {
	seen := map[*Type]bool{}
	var walk func(t *Type)
	walk = func(t *Type) {
		if t == nil || seen[t] {
			return
		}
		seen[t] = true
		if t.Name != "" {
			named = append(named, t)
		}
		walk(t.Elem)
		for _, f := range t.Fields {
			walk(f.Type)
		}
		for _, m := range t.Members {
			walk(m)
		}
	}
	for _, e := range slices.Concat(c.Events, c.Asks) {
		for _, f := range slices.Concat(e.In.List, e.Out.List) {
			walk(f.Type)
		}
	}
	for _, k := range c.Keys {
		walk(k.Type)
	}
	slices.SortFunc(named, func(a, b *Type) int { return cmp.Compare(a.Name, b.Name) })
	return named
}
