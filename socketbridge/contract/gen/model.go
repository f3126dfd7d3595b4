package gen

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
	Strict    bool     // other fields are refused
	Members   []*Type  // of a Union
	Values    []string // of an Enum, as JSON
	Sent      bool     // the server sends values, or they are in sessions
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

// markSent sets Sent of all types that the server sends.
func (c *Contract) markSent() {
	var mark func(t *Type)
	mark = func(t *Type) {
		if t == nil || t.Sent {
			return
		}
		t.Sent = true
		mark(t.Elem)
		for _, f := range t.Fields {
			mark(f.Type)
		}
		for _, m := range t.Members {
			mark(m)
		}
	}
	for _, e := range c.Events {
		for _, f := range e.Out.List {
			mark(f.Type)
		}
	}
	for _, e := range c.Asks {
		for _, f := range e.In.List {
			mark(f.Type)
		}
	}
	for _, k := range c.Keys {
		mark(k.Type)
	}
}
