package contract

import (
	"context"
	"errors"
	"reflect"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// CodeInvalidArgument is the code of the answer to an event whose arguments do not fit.
const CodeInvalidArgument = socketbridge.CodeInvalidArgument

// None is no argument, or an answer without arguments.
type None struct{}

// Tuple makes the struct that embeds it several arguments: one for each exported field, in
// order.
type Tuple struct{}

// Strict makes the struct that embeds it refuse fields that it does not have and, together
// with Tuple, arguments beyond the last.
type Strict struct{}

// Event is the name of an event that clients send with In, and that the server answers with
// Out.
type Event[In, Out any] string

// Notice is the name of an event that the server sends with T.
type Notice[T any] string

// Ask is the name of an event that the server sends with In, and that a client answers with
// Out.
type Ask[In, Out any] string

// Emitter is what a Notice is sent through: a socket, a broadcast, a user, a namespace, a
// server, a RemoteSocket, or a namespace of package emitter.
type Emitter interface {
	Emit(event string, args ...any) error
}

// Asker is what an Ask is sent through: a *socketbridge.Socket, what its Timeout returns, or a
// RemoteSocket.
type Asker interface {
	EmitWithAck(ctx context.Context, event string, args ...any) (socketbridge.Answer, error)
}

// AllAsker is what an Ask is sent through to several sockets: a Broadcast.
type AllAsker interface {
	EmitWithAck(ctx context.Context, event string, args ...any) ([]socketbridge.Answer, error)
}

// Handle registers fn on a server, a namespace, a socket, or what Use returns. fn gets the
// arguments after they were checked (see What fits); if they do not fit, the client gets
// CodeInvalidArgument. What fn returns is the answer, if the client asked for one. An error of
// fn, and a panic, is answered as in plain handlers.
//
// Handle panics if the name, In or Out cannot be used (see Types), so that the mistake shows at
// start.
func (e Event[In, Out]) Handle(on socketbridge.Registrar, fn func(p *socketbridge.Packet, in In) (Out, error)) {
	if fn == nil {
		panic("contract: Handle of " + string(e) + " needs a handler")
	}
	mustName("event", string(e))
	in, out := mustPlan[In]("event", string(e)), mustPlan[Out]("the answer to", string(e))
	register(on, string(e), func(p *socketbridge.Packet) error {
		var c struct { // one allocation for all that is passed by address
			args In
			in   input
		}
		if err := in.decodePacket(p, &c.in, reflect.ValueOf(&c.args).Elem()); err != nil {
			return err
		}
		answer, err := fn(p, c.args)
		if err != nil || !p.WantsAck() {
			return err
		}
		return p.Ack(out.arguments(answer)...)
	})
}

// Emit sends v through to. Its errors are those of to's Emit. It panics if the name or T cannot be
// used.
func (n Notice[T]) Emit(to Emitter, v T) error {
	mustName("notice", string(n))
	return to.Emit(string(n), mustPlan[T]("notice", string(n)).arguments(v)...)
}

// Emit sends in through to, and waits for the client's answer. Its errors are those of to's
// EmitWithAck, and an *AnswerError if the answer does not fit Out. It panics if the name, In or
// Out cannot be used.
func (a Ask[In, Out]) Emit(ctx context.Context, to Asker, in In) (Out, error) {
	mustName("ask", string(a))
	args, out := mustPlan[In]("event", string(a)), mustPlan[Out]("the answer to", string(a))
	got, err := to.EmitWithAck(ctx, string(a), args.arguments(in)...)
	if err != nil {
		var none Out
		return none, err
	}
	return answerOf[Out](string(a), out, got)
}

// EmitAll sends in through to, and returns the answers of all sockets that fit Out, in the order
// in which they came. Its errors are those of to's EmitWithAck, joined with an *AnswerError for
// the first answer that does not fit: with an error, it returns the answers that it has. It
// panics if the name, In or Out cannot be used.
func (a Ask[In, Out]) EmitAll(ctx context.Context, to AllAsker, in In) ([]Out, error) {
	mustName("ask", string(a))
	args, out := mustPlan[In]("event", string(a)), mustPlan[Out]("the answer to", string(a))
	got, err := to.EmitWithAck(ctx, string(a), args.arguments(in)...)
	answers := make([]Out, 0, len(got))
	var misfit error
	for _, g := range got {
		answer, err := answerOf[Out](string(a), out, g)
		if err == nil {
			answers = append(answers, answer)
		} else if misfit == nil {
			misfit = err
		}
	}
	return answers, errors.Join(err, misfit)
}

// answerOf returns a client's answer. Its error is an *AnswerError.
func answerOf[Out any](event string, out *plan, got socketbridge.Answer) (answer Out, err error) {
	if m := out.decodeAnswer(got, reflect.ValueOf(&answer).Elem()); m != nil {
		var none Out
		return none, &AnswerError{Event: event, Path: m.pointer(), Expected: m.text(), safe: m.Error()}
	}
	return answer, nil
}

// AnswerError is the error of Ask.Emit and Ask.EmitAll for an answer that does not fit.
type AnswerError struct {
	// Event is the event's name.
	Event string
	// Path is a JSON pointer into the answer's arguments. It is cut to 256 bytes, and can have
	// keys that the client has chosen.
	Path string
	// Expected says what would fit. It is cut to 256 bytes.
	Expected string

	safe string // the text of the misfit
}

// Error returns the event, the path and what was expected. It holds nothing that the client has
// sent: "*" stands for indices, and for keys that the client has chosen.
func (e *AnswerError) Error() string { return "contract: answer to " + e.Event + ": " + e.safe }
