package gen

// Contract is what packages declare. All slices are sorted by name.
type Contract struct {
	Events []Event // sent by clients: contract.Event
	Asks   []Event // sent by the server: contract.Notice and contract.Ask
	Keys   []Key
	Types  []*Type // those with a name
}

// Event is an event and its arguments.
type Event struct {
	Name, Doc string
	In, Out   Args
	Answered  bool // false for a Notice
}

// Args are the arguments of an event or of an answer.
type Args struct{ List []Field }

// Key is a key of the session.
type Key struct {
	Name, Doc string
	Type      *Type
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
	Elem      *Type    // of a List or a Map
	NullElem  bool     // elements may be null
	Len       int      // of an array; -1 for a slice
	IntKeys   bool     // of a Map
	Fields    []Field  // of a Struct
	Members   []*Type  // of a Union
	Values    []string // of an Enum, as JSON
}

// Field is a field of a struct, or an argument.
type Field struct {
	Name, Doc string
	Type      *Type
	Optional  bool   // may be missing
	Nullable  bool   // may be null
	Const     string // the only value that fits, if it is not empty
}
