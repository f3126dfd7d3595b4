package socketbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// TestS2_EventOverALimit checks that an event over a limit is answered with a code and
// logged once, and that the connection goes on.
func TestS2_EventOverALimit(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	for _, tt := range []struct {
		name        string
		text        string // after the type and the ID
		attachments int
		want        string
	}{
		{"arguments", `["e"` + strings.Repeat(",1", 65) + `]`, 0, "more than 64 arguments"},
		{"depth", `["e",` + deep + `]`, 0, "values nested deeper than 128"},
		{"name", `["` + strings.Repeat("n", 257) + `"]`, 0, "an event name longer than 256 bytes"},
		{"attachments", `["e"]`, 11, "more than 10 binary attachments"},
		{"bytes of attachments", `["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`, 3, "more than 2000 bytes of binary attachments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			io := newServer(t, socketbridge.Config{
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Engine: engineio.Config{MaxPayload: 2000},
				Limits: socketbridge.Limits{EventsPerSecond: -1},
			})
			io.On("next", func(p *socketbridge.Packet) error { return p.Ack("ok") })
			c := join(t, io, "/")
			send := func(id string) {
				header := "2"
				if tt.attachments > 0 {
					header = "5" + itoa(tt.attachments) + "-"
				}
				c.send(header + id + tt.text)
				for range tt.attachments {
					if err := c.conn.Binary(make([]byte, 1000)); err != nil {
						t.Fatal(err)
					}
				}
			}
			for range 20 {
				send("")
			}
			send("7")
			c.expect(`37[{"error":{"code":"bad_arguments","message":"` + tt.want + `"}}]`)
			c.send(`28["next"]`)
			c.expect(`38["ok"]`)
			if n := strings.Count(log.String(), tt.want); n != 1 {
				t.Errorf("the limit is logged %d times, want once:\n%s", n, log.String())
			}
		})
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// TestS2_OfficialClientOverALimit checks the same with packets that the official client sends.
func TestS2_OfficialClientOverALimit(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).serve()
	s.io.On("e", func(p *socketbridge.Packet) error { return p.Ack(len(p.Args())) })
	var many, binary []any
	for range 65 {
		many = append(many, 1)
	}
	for range 11 {
		binary = append(binary, []byte("b"))
	}
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			c := n.Connect(t, s.url, o)
			defer c.Close()
			equal(t, "too many arguments", call(t, c, "e", many...), `{"error":{"code":"bad_arguments","message":"more than 64 arguments"}}`)
			equal(t, "too many attachments", call(t, c, "e", binary...), `{"error":{"code":"bad_arguments","message":"more than 10 binary attachments"}}`)
			equal(t, "as many as allowed", call(t, c, "e", many[1:]...), `64`)
			equal(t, "as many attachments as allowed", call(t, c, "e", binary[1:]...), `10`)
		})
	}
}

// TestS2_AnswerOverALimit checks that EmitWithAck returns at once if the client's answer is
// refused.
func TestS2_AnswerOverALimit(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	c := join(t, io, "/")
	got := make(chan error, 1)
	go func() {
		_, err := onlySocket(t, io).EmitWithAck(context.Background(), "q")
		got <- err
	}()
	c.expect(`21["q"]`)
	c.send(`31[1` + strings.Repeat(",1", 64) + `]`)
	if err := <-got; !errors.Is(err, socketbridge.ErrBadAnswer) || !strings.Contains(err.Error(), "more than 64 arguments") {
		t.Errorf("error %v, want ErrBadAnswer", err)
	}
}

// TestS2_ConnectOverALimit checks that a CONNECT over a limit is refused without closing the
// connection, on which other namespaces may be joined.
func TestS2_ConnectOverALimit(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	c := join(t, io, "/")
	long := "/" + strings.Repeat("n", 300)
	c.send("0" + long + ",")
	c.expect(`4` + long + `,{"data":{"code":"bad_arguments","message":"a namespace longer than 256 bytes"},"message":"Invalid namespace or auth"}`)
	c.send(`0/chat,{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`)
	c.expect(`4/chat,{"data":{"code":"bad_arguments","message":"values nested deeper than 128"},"message":"Invalid namespace or auth"}`)
}

// TestS2_MalformedPacketsCloseTheConnection lists what is a violation of the protocol.
func TestS2_MalformedPacketsCloseTheConnection(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][]string{
		"JSON":                                 {`2["e"`},
		"reserved name":                        {`2["connect"]`},
		"name":                                 {`2[{}]`},
		"placeholder":                          {`51-["e"]`},
		"count of attachments":                 {`50-["e"]`},
		"more attachments than are skipped":    {`51001-["e"]`},
		"text instead of a skipped attachment": {`511-["e"]`, `2["e"]`},
		"over a limit, never joined":           {`2/no,["e"` + strings.Repeat(",1", 65) + `]`},
		"over a limit, type 4":                 {`4{"a":` + strings.Repeat("[", 200) + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := join(t, newServer(t, socketbridge.Config{}), "/")
			for _, text := range texts {
				_ = c.conn.Text(text)
			}
			if reason := c.waitForClose(); reason != transport.ParseError {
				t.Errorf("closed with %q, want %q", reason, transport.ParseError)
			}
		})
	}
}

// TestS2_BadArguments checks what a client gets if its arguments do not fit.
func TestS2_BadArguments(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	io := newServer(t, socketbridge.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	io.On("e", func(p *socketbridge.Packet) error {
		var n int
		var v struct{ Secret int }
		if err := p.Bind(&n, &v); err != nil {
			return err
		}
		return p.Ack(n)
	})
	io.On("broken", func(p *socketbridge.Packet) error {
		var n int
		return p.Bind(n)
	})
	io.On("relay", func(p *socketbridge.Packet) error {
		a, err := p.Socket().EmitWithAck(p.Context(), "q")
		if err != nil {
			return err
		}
		var n int
		return a.Bind(&n)
	})
	c := join(t, io, "/")
	for sent, want := range map[string]string{
		`["e",1,{"Secret":2}]`:   `1`,
		`["e"]`:                  `{"error":{"code":"bad_arguments","message":"argument 0 is missing","data":{"argument":0}}}`,
		`["e",1]`:                `{"error":{"code":"bad_arguments","message":"argument 1 is missing","data":{"argument":1}}}`,
		`["e","1",{}]`:           `{"error":{"code":"bad_arguments","message":"argument 0 does not have the expected type","data":{"argument":0}}}`,
		`["e",1,{"Secret":"x"}]`: `{"error":{"code":"bad_arguments","message":"argument 1 does not have the expected type","data":{"argument":1}}}`,
		`["e",1.5,{}]`:           `{"error":{"code":"bad_arguments","message":"argument 0 does not have the expected type","data":{"argument":0}}}`,
		`["broken",1]`:           `{"error":{"code":"internal_error","message":"internal error"}}`,
	} {
		for range 5 {
			c.send("29" + sent)
			c.expect("39[" + want + "]")
		}
	}
	if n := strings.Count(log.String(), "argument 1"); n > 2 { // missing, and the type
		t.Errorf("bad arguments are logged %d times:\n%s", n, log.String())
	}
	if !log.Has("field Secret: expected int, got a JSON string") {
		t.Errorf("the log does not say what is wrong:\n%s", log.String())
	}

	c.send(`29["relay"]`) // the answer of a client is not the argument of another
	c.expect(`21["q"]`)
	c.send(`31["no number"]`)
	c.expect(`39[{"error":{"code":"internal_error","message":"internal error"}}]`)
}

// secretive decodes itself, and its error quotes the value.
type secretive string

func (s *secretive) UnmarshalJSON(text []byte) error { return fmt.Errorf("no %s", text) }

// wordy decodes itself, and has words for the client.
type wordy string

func (*wordy) UnmarshalText(text []byte) error {
	return fmt.Errorf("%s: %w", text, &socketbridge.EventError{Code: "wordy", Message: "Choose another."})
}

// TestS2_BadArgumentsAreNotLogged: the line of what Bind refuses says where and what was expected,
// and not what the client has sent.
func TestS2_BadArgumentsAreNotLogged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sent, want string
		to               any
	}{
		{"a type", `"471147114711"`, "expected int, got a JSON string", new(int)},
		{"a range", `471147114711`, "expected int8, got a JSON number", new(int8)},
		{"a field", `{"a":[{"b":471147114711}]}`, "field A.B: expected uint8, got a JSON number", new(struct{ A []struct{ B uint8 } })},
		{"a value of a map", `{"471147114711":471147114711}`, "expected string, got a JSON number", new(map[string]string)},
		{"a value of a map in a field", `{"m":{"471147114711":true}}`, "field M: expected int, got a JSON bool", new(struct{ M map[string]int })},
		{"a key", `{"471147114711":1}`, "expected int8, got a JSON number", new(map[int8]int)},
		{"a time", `"471147114711"`, "its Go type refuses the value, with a *time.ParseError", new(time.Time)},
		{"a json.Number", `"x471147114711"`, "its Go type refuses the value", new(json.Number)},
		{"binary data", `"471147114711!"`, "expected binary data, got a string that is no base64", new([]byte)},
		{"UnmarshalJSON", `"471147114711"`, "its Go type refuses the value", new(secretive)},
		{"an EventError", `"471147114711"`, "wordy: Choose another.", new(wordy)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			io := newServer(t, socketbridge.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			io.On("e", func(p *socketbridge.Packet) error { return p.Bind(tt.to) })
			c := join(t, io, "/")
			c.send(`21["e",` + tt.sent + `]`)
			c.next()
			waitFor(t, "the line", func() bool { return log.Has("bad_arguments") }) // events are logged after their answers
			if !log.Has(tt.want) || log.Has("471147114711") {
				t.Errorf("%s: the log has\n%s\nwant %q, without the value", tt.sent, log.String(), tt.want)
			}
		})
	}
}

type noJSON struct{}

func (noJSON) MarshalJSON() ([]byte, error) { return nil, errors.New("out of order") }

// TestS2_ValuesThatCannotBeSent checks that errors name the event, the argument and what to
// change, and that a client is not left without an answer.
func TestS2_ValuesThatCannotBeSent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		value any
		want  []string
	}{
		{"MarshalJSON", noJSON{}, []string{"argument 1 (socketbridge_test.noJSON)", "out of order", "the method must return JSON"}},
		{"NaN", math.NaN(), []string{"argument 1 (float64)", "NaN", "send another value"}},
		{"channel", make(chan int), []string{"argument 1 (chan int)", "unsupported type", "send another type"}},
		{"eleven attachments", make11(), []string{"11 attachments", "clients accept at most 10"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			io := newServer(t, socketbridge.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			io.On("ignored", func(p *socketbridge.Packet) error {
				_ = p.Ack("first", tt.value)
				return nil
			})
			io.On("again", func(p *socketbridge.Packet) error {
				if p.Ack("first", tt.value) == nil {
					return errors.New("the value was sent")
				}
				return p.Ack("second")
			})
			c := join(t, io, "/")
			err := io.Emit("news", "first", tt.value)
			for _, want := range append(tt.want, `event "news" was not sent`) {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			}
			c.send(`21["ignored"]`)
			c.expect(`31[{"error":{"code":"internal_error","message":"internal error"}}]`)
			waitFor(t, "the line about the answer", func() bool { return log.Has(`the answer to \"ignored\" was not sent`) })
			c.send(`22["again"]`)
			c.expect(`32["second"]`)
		})
	}
}

func make11() [][]byte {
	all := make([][]byte, 11)
	for i := range all {
		all[i] = []byte("b")
	}
	return all
}
