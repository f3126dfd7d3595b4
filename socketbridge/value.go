package socketbridge

import "github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"

// Value is one argument as it came from a client, undecoded: Packet.Values, Answer.Values
// and ServerEvent.Values return them. Everything that sends arguments also takes Values, and
// sends their JSON text, with the order of its keys and the digits of its numbers, and their
// binary data unchanged: Emit, EmitWithAck, Ack and ServerSideEmit, as an argument, or inside
// a slice, a map or a struct (where only white space is removed).
//
//	io.On("chat", func(p *socketbridge.Packet) error {
//		return p.Socket().To("room").Emit(p.Event(), p.Values()...)
//	})
//
// Bind can also store an argument, or a field of one, in a Value. The zero Value is null.
//
// A Value can be kept and used by any goroutine. It keeps its packet's memory alive, and
// shares the binary data with the slices that Bind returned: do not modify them before the
// Value was sent.
type Value siopacket.Value

// Bind decodes the value into what ptr points to, like Packet.Bind. Its errors are as those of
// Answer.Bind.
func (v Value) Bind(ptr any) error {
	if err := siopacket.Value(v).Unmarshal(ptr); err != nil {
		return &bindError{"value", err}
	}
	return nil
}

// MarshalJSON returns the value's JSON text. Binary data becomes a base64 string in it, as a
// []byte does in encoding/json.
func (v Value) MarshalJSON() ([]byte, error) { return siopacket.Value(v).MarshalJSON() }

// UnmarshalJSON stores a copy of text.
func (v *Value) UnmarshalJSON(text []byte) error {
	return (*siopacket.Value)(v).UnmarshalJSON(text)
}

// valuesOf returns the arguments of a packet with attachments, each as a Value.
func valuesOf[T ~[]byte](args []T, attachments [][]byte) []any {
	values := make([]any, len(args))
	for i, arg := range args {
		values[i] = Value(siopacket.NewValue(arg, attachments))
	}
	return values
}
