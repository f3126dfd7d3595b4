package bridgetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// arguments are the arguments of an event or an answer.
type arguments struct {
	args        []json.RawMessage
	attachments [][]byte
}

// Args returns the arguments as raw JSON, in which binary data is a placeholder.
func (a *arguments) Args() []json.RawMessage { return a.args }

// Bind decodes the arguments, in order, into what ptrs point to, like socketbridge.Packet.Bind. A
// nil pointer skips an argument, and further arguments are ignored.
func (a *arguments) Bind(ptrs ...any) error {
	for i, ptr := range ptrs {
		if err := a.bind(i, ptr); err != nil {
			return err
		}
	}
	return nil
}

func (a *arguments) bind(i int, ptr any) error {
	if i >= len(a.args) {
		return fmt.Errorf("bridgetest: argument %d is missing: there are %d", i, len(a.args))
	}
	if ptr == nil {
		return nil
	}
	if err := siopacket.Unmarshal(a.args[i], a.attachments, ptr); err != nil {
		return fmt.Errorf("bridgetest: argument %d is %s: %w", i, a.args[i], err)
	}
	return nil
}

// match compares the arguments with what Want got.
func (a *arguments) match(want []any) error {
	for i, w := range want {
		if w == nil || reflect.ValueOf(w).Kind() == reflect.Pointer {
			if err := a.bind(i, w); err != nil {
				return err
			}
			continue
		}
		if i >= len(a.args) {
			return fmt.Errorf("argument %d is missing, want %v", i, show(w))
		}
		if got := reflect.New(reflect.TypeOf(w)); a.bind(i, got.Interface()) == nil && reflect.DeepEqual(got.Elem().Interface(), w) {
			continue
		}
		if !sameJSON(a.args[i], w) {
			return fmt.Errorf("argument %d is %s, want %s", i, a.args[i], show(w))
		}
	}
	return nil
}

// sameJSON reports whether text is the JSON of want, apart from its form.
func sameJSON(text json.RawMessage, want any) bool {
	data, err := json.Marshal(want)
	if err != nil {
		return false
	}
	var a, b any
	return json.Unmarshal(text, &a) == nil && json.Unmarshal(data, &b) == nil && reflect.DeepEqual(a, b)
}

// show returns a value for messages: its JSON if it has one.
func show(v any) string {
	if data, err := json.Marshal(v); err == nil {
		return string(data)
	}
	return fmt.Sprintf("%v", v)
}

// String returns the arguments as they would be in a call, cut off after 200 bytes.
func (a *arguments) String() string {
	parts := make([]string, len(a.args))
	for i, arg := range a.args {
		parts[i] = string(arg)
	}
	text := strings.Join(parts, ", ")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return "(" + text + ")"
}

// Event is an event that the server sent to a client.
type Event struct {
	// Name is the event's name.
	Name string
	arguments

	client *Client
	id     uint64
	asked  bool
}

// String returns the name and the arguments.
func (e *Event) String() string { return fmt.Sprintf("%q%s", e.Name, e.arguments.String()) }

// Asked reports whether the server waits for an answer (EmitWithAck).
func (e *Event) Asked() bool { return e.asked }

// Answer answers an event that the server sent with EmitWithAck. It fails the test if the server
// has asked for no answer, or if the client is disconnected. Only the first answer counts.
func (e *Event) Answer(args ...any) {
	c := e.client
	c.t.Helper()
	if !e.asked {
		c.t.Errorf("bridgetest: Answer: the server asked for no answer to %s", e)
		return
	}
	if err := c.connection().send(siopacket.Header{Type: siopacket.Ack, Namespace: c.namespace, ID: e.id, HasID: true}, args...); err != nil {
		c.t.Errorf("bridgetest: Answer to %s: %v", e, err)
	}
}

// list returns events for messages.
func list(events []*Event) string {
	texts := make([]string, len(events))
	for i, e := range events {
		texts[i] = e.String()
	}
	return strings.Join(texts, ", ")
}

// Reply is the server's answer to Client.Ask.
type Reply struct {
	arguments

	client   *Client
	event    string
	id       uint64
	answered bool
	handled  bool
	err      error // of the handler
}

// Want compares the answer's arguments, like Client.Want. It ends the test if one differs, or if
// the answer is an error.
func (r *Reply) Want(want ...any) {
	r.client.t.Helper()
	if e := r.Err(); e != nil {
		cause := ""
		if err := r.HandlerErr(); err != nil && !errors.Is(err, e) && err.Error() != e.Error() {
			cause = fmt.Sprintf(" (on the server: %v)", err)
		}
		r.client.t.Fatalf("bridgetest: Ask(%q) was answered with the error %v%s", r.event, e, cause)
	}
	if err := r.match(want); err != nil {
		r.client.t.Fatalf("bridgetest: Ask(%q) was answered with %s: %v", r.event, r, err)
	}
}

// WantError checks that the answer is an error with this code: that of an
// *socketbridge.EventError, or one of the constants socketbridge.Code…. It returns the error as
// the client sees it. Otherwise it ends the test.
func (r *Reply) WantError(code string) *socketbridge.EventError {
	r.client.t.Helper()
	e := r.Err()
	switch {
	case e == nil:
		r.client.t.Fatalf("bridgetest: Ask(%q) was answered with %s, want the error %s", r.event, r, code)
	case e.Code != code:
		r.client.t.Fatalf("bridgetest: Ask(%q) was answered with the error %v, want the code %s; on the server: %v", r.event, e, code, r.HandlerErr())
	}
	return e
}

// Err returns the error that the server answered with, as the client sees it, or nil.
func (r *Reply) Err() *socketbridge.EventError {
	if len(r.args) != 1 {
		return nil
	}
	var answer struct{ Error *socketbridge.EventError }
	if r.Bind(&answer) != nil || answer.Error == nil || answer.Error.Code == "" {
		return nil
	}
	return answer.Error
}

// HandlerErr returns the error on the server: what the handlers of the event returned, or why the
// session could not be loaded or saved. Clients never see it. It is nil if there was none.
func (r *Reply) HandlerErr() error {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	return r.err
}
