package contract_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/internal/eventbench"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// answering is a transport.Conn that reports each message sent.
type answering struct {
	transport.Conn
	sent chan string
}

func (answering) ID() string                        { return "sink" }
func (answering) Transport() string                 { return "websocket" }
func (answering) Handshake() *transport.Handshake   { return &transport.Handshake{} }
func (answering) Lifted() any                       { return nil }
func (answering) Drained() (<-chan struct{}, error) { return nil, nil }
func (answering) Close(transport.Reason)            {}
func (c answering) Send(_ transport.Flags, msgs ...transport.Message) error {
	c.sent <- string(msgs[0].Data)
	return nil
}

// An event of three fields. Its pointers tell handlers with own checks what is missing.
type (
	benchSay struct {
		Room string `json:"room"`
		Text string `json:"text"`
		To   *int   `json:"to"`
	}
	benchSayRules struct {
		Room string `json:"room" validate:"min=1,max=50"`
		Text string `json:"text" validate:"max=500"`
		To   *int   `json:"to"`
	}
	benchSayBind struct {
		Room *string `json:"room"`
		Text *string `json:"text"`
		To   *int    `json:"to"`
	}
)

// An event of three arguments.
type (
	benchMove struct {
		contract.Tuple
		X, Y  int
		Label string
	}
	benchMoveRules struct {
		contract.Tuple
		X     int    `validate:"min=0,max=99"`
		Y     int    `validate:"min=0,max=99"`
		Label string `validate:"max=20"`
	}
)

// An event with a list.
type (
	benchItem struct {
		Name  string `json:"name"`
		Level Level  `json:"level"`
	}
	benchItemRules struct {
		Name  string `json:"name" validate:"min=1,max=10"`
		Level Level  `json:"level"`
	}
	benchPage struct {
		Items []benchItem `json:"items"`
	}
	benchPageRules struct {
		Items []benchItemRules `json:"items" validate:"max=50,dive"`
	}
	benchPageBind struct {
		Items *[]struct {
			Name  *string `json:"name"`
			Level *Level  `json:"level"`
		} `json:"items"`
	}
)

// An event with binary data.
type (
	benchFile struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	benchFileRules struct {
		Name string `json:"name" validate:"min=1,max=50"`
		Data []byte `json:"data" validate:"max=65536"`
	}
	benchFileBind struct {
		Name *string `json:"name"`
		Data []byte  `json:"data"`
	}
)

var errBench = &socketbridge.EventError{Code: contract.CodeInvalidArgument}

// plain is a handler with Bind, which answers with what answer returns.
func plain[T any](answer func(in *T) (int, bool)) socketbridge.Handler {
	return func(p *socketbridge.Packet) error {
		var in T
		if err := p.Bind(&in); err != nil {
			return err
		}
		n, ok := answer(&in)
		if !ok {
			return errBench
		}
		return p.Ack(n)
	}
}

// plainMove is a handler with Bind of three arguments.
func plainMove(answer func(x, y int, label string) (int, bool)) socketbridge.Handler {
	return func(p *socketbridge.Packet) error {
		var x, y int
		var label string
		if err := p.Bind(&x, &y, &label); err != nil {
			return err
		}
		n, ok := answer(x, y, label)
		if !ok {
			return errBench
		}
		return p.Ack(n)
	}
}

// typed registers the handler of a typed event.
func typed[T any](answer func(in *T) int) func(io *socketbridge.Server) {
	return func(io *socketbridge.Server) {
		contract.Event[T, int]("e").Handle(io, func(_ *socketbridge.Packet, in T) (int, error) { return answer(&in), nil })
	}
}

func long(s *string, least, most int) bool {
	if s == nil {
		return false
	}
	n := utf8.RuneCountInString(*s)
	return n >= least && n <= most
}

func itemsFit(in *benchPageBind) bool {
	if in.Items == nil || len(*in.Items) > 50 {
		return false
	}
	for _, item := range *in.Items {
		if !long(item.Name, 1, 10) || item.Level == nil || *item.Level != Low && *item.Level != High {
			return false
		}
	}
	return true
}

// BenchmarkDispatch measures one event with its answer on an idle socket, without the transport:
// a plain handler with Bind, one with Bind and the checks of the last one by hand, a typed one, and
// a typed one with rules.
func BenchmarkDispatch(b *testing.B) {
	for _, shape := range []struct {
		name   string
		packet func() []transport.Message
		bind   socketbridge.Handler
		hand   socketbridge.Handler
		typed  func(io *socketbridge.Server)
		rules  func(io *socketbridge.Server)
	}{
		{
			"3 fields", eventbench.Same(`20["e",{"room":"lobby","text":"Hello, everybody in this room!","to":7}]`),
			plain(func(in *benchSay) (int, bool) { return len(in.Text), true }),
			plain(func(in *benchSayBind) (int, bool) {
				if !long(in.Room, 1, 50) || !long(in.Text, 0, 500) {
					return 0, false
				}
				return len(*in.Text), true
			}),
			typed(func(in *benchSay) int { return len(in.Text) }),
			typed(func(in *benchSayRules) int { return len(in.Text) }),
		},
		{
			"3 arguments", eventbench.Same(`20["e",42,7,"knight"]`),
			plainMove(func(x, y int, label string) (int, bool) { return x + y, true }),
			plainMove(func(x, y int, label string) (int, bool) {
				return x + y, x >= 0 && x <= 99 && y >= 0 && y <= 99 && long(&label, 0, 20)
			}),
			typed(func(in *benchMove) int { return in.X + in.Y }),
			typed(func(in *benchMoveRules) int { return in.X + in.Y }),
		},
		{
			"20 elements", eventbench.Same(`20["e",{"items":[` + strings.Repeat(`{"name":"an item","level":"high"},`, 19) + `{"name":"an item","level":"low"}]}]`),
			plain(func(in *benchPage) (int, bool) { return len(in.Items), true }),
			plain(func(in *benchPageBind) (int, bool) {
				if !itemsFit(in) {
					return 0, false
				}
				return len(*in.Items), true
			}),
			typed(func(in *benchPage) int { return len(in.Items) }),
			typed(func(in *benchPageRules) int { return len(in.Items) }),
		},
		{
			"1 KB of binary data", eventbench.Same(`51-0["e",{"name":"a.txt","data":{"_placeholder":true,"num":0}}]`, bytes.Repeat([]byte("x"), 1024)),
			plain(func(in *benchFile) (int, bool) { return len(in.Data), true }),
			plain(func(in *benchFileBind) (int, bool) {
				return len(in.Data), long(in.Name, 1, 50) && in.Data != nil && len(in.Data) <= 65536
			}),
			typed(func(in *benchFile) int { return len(in.Data) }),
			typed(func(in *benchFileRules) int { return len(in.Data) }),
		},
	} {
		b.Run(shape.name, func(b *testing.B) {
			on := func(h socketbridge.Handler) func(io *socketbridge.Server) {
				return func(io *socketbridge.Server) { io.On("e", h) }
			}
			for _, how := range []struct {
				name     string
				register func(io *socketbridge.Server)
			}{{"Bind", on(shape.bind)}, {"Bind and checks", on(shape.hand)}, {"typed", shape.typed}, {"typed with rules", shape.rules}} {
				b.Run(how.name, func(b *testing.B) {
					io := newServer(b)
					how.register(io)
					eventbench.Run(b, io, nil, shape.packet)
					if n := io.Stats().Notices["invalid_argument"] + io.Stats().Notices["bad_arguments"] + io.Stats().Notices["handler_error"]; n > 0 {
						b.Errorf("%d events were refused", n)
					}
				})
			}
		})
	}
}
