// Package contract declares events with Go types, and checks what clients send before a
// handler sees it.
//
//	// Say is sent by clients, and answered.
//	const Say = contract.Event[SayIn, SayOut]("say")
//
//	// Said is sent to clients.
//	const Said = contract.Notice[Message]("said")
//
//	type SayIn struct {
//		Text string `json:"text" validate:"max=500"`
//		To   *string `json:"to"` // optional
//	}
//
//	Say.Handle(contract.Use(io, requireLogin), func(p *socketbridge.Packet, in SayIn) (SayOut, error) {
//		return SayOut{}, Said.Emit(io.To("lobby"), Message{Text: in.Text})
//	})
//
// An Event, a Notice or an Ask is a string, so it can be a constant, and string(Say) is the
// event's name for plain code. Plain and typed handlers work side by side.
//
// # What fits
//
// The arguments of an event fit In by these rules. The names are those of encoding/json tags,
// and must match exactly, in case too.
//
//   - A field is required, unless it is a pointer or its tag has omitempty or omitzero.
//   - null fits pointers, any, json.RawMessage, socketbridge.Value and types with an
//     UnmarshalJSON method that accepts it. It does not fit slices and maps.
//   - A field that the Go type does not have is ignored. If the struct embeds Strict, it is
//     refused. A key that occurs twice is always refused.
//   - Integers and floats have to be in the range of their Go type. 1.0 is an integer.
//   - []byte is a binary attachment at any depth, or a string in base64, which clients of
//     Namespace.WebSocket send.
//   - time.Time is a string in the form of RFC 3339. Types with UnmarshalJSON or
//     UnmarshalText decode themselves. They and json.RawMessage cannot hold attachments; any
//     and socketbridge.Value can. A *socketbridge.EventError that such a method returns is the
//     answer to the event, so that a form that people fill in has words for them.
//   - Arrays have exactly their length. Keys of maps are strings or integers.
//   - Embedded structs are part of the struct around them, as in encoding/json.
//   - Rules of `validate` tags hold. They are those of
//     github.com/go-playground/validator/v10. Rules of elements of slices and maps need
//     "dive", once for each level; those of an only argument hold without it. Rules of fields
//     that clients cannot send, because of json:"-" or of another field with the JSON name, do
//     not hold.
//
// An In or Out that embeds Tuple is several arguments, one for each exported field, in order;
// json names are not used. Optional arguments come last. A missing argument and null are the
// same for them. Arguments beyond In are ignored, or refused if it embeds Strict. None is no
// argument, or an answer without arguments.
//
// # Enums
//
// A type whose underlying type is string or an integer, with a method Values, is an enum.
// Values returns all constants of the type; other values do not fit.
//
//	type Level string
//
//	const (
//		Low  Level = "low"
//		High Level = "high"
//	)
//
//	func (Level) Values() []Level { return []Level{Low, High} }
//
// # Unions
//
// An interface whose only method is oneOf is a union. The parameters of oneOf are its members,
// all structs. Each member has one field with a rule eq=…, under the same JSON name in all
// members: its value tells which member an object is. The compiler checks that each member
// implements the union.
//
//	// Shape is a Circle or a Square.
//	type Shape interface{ oneOf(Circle, Square) }
//
//	type Circle struct {
//		Kind   string  `json:"kind" validate:"eq=circle"`
//		Radius float64 `json:"radius"`
//	}
//
//	type Square struct {
//		Kind string  `json:"kind" validate:"eq=square"`
//		Side float64 `json:"side"`
//	}
//
//	func (Circle) oneOf(Circle, Square) {}
//	func (Square) oneOf(Circle, Square) {}
//
// A handler uses a type switch. What is sent gets its kind from the tag: Circle{Radius: 1} is
// {"kind":"circle","radius":1}. Without a json tag, the JSON name of a field is its Go name.
//
// # What clients get
//
// Arguments that do not fit are answered with the code invalid_argument (CodeInvalidArgument)
// and {"path":…,"expected":…} as data. The path is a JSON pointer (RFC 6901) into the array of
// arguments: "/0/items/3/name". The handler does not run. Middlewares before it have run, and
// can use the packet as in plain handlers. Limits on size, depth and rate apply before.
//
// What the server sends is not checked against rules: its type is checked by the compiler,
// and a rule that fails in production would cost a message. Nil slices and maps are sent as []
// and {} (a nil []byte as empty binary data), unless their tag omits them, so that null occurs
// only for pointers, any and unions without a value.
//
// # Types
//
// These types cannot be used, and Handle panics for them, as it does for an unusable tag:
// channels, functions, complex numbers, uintptr, interfaces other than unions and any, maps
// with other keys, lists of a type of bytes (which encoding/json writes as base64), and the json
// option "string". A tag is unusable if a rule does not exist, does not fit the Go type of its
// field, or names a field that the struct does not have. A name is unusable if it is empty, is
// reserved by Socket.IO, or has more than 256 bytes.
package contract
