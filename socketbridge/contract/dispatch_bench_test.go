package contract_test

import (
	"testing"

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

type (
	benchIn struct {
		Room string `json:"room"`
		Text string `json:"text"`
		To   *int   `json:"to"`
	}
	benchRules struct {
		Room string `json:"room" validate:"required,max=50"`
		Text string `json:"text" validate:"max=500"`
		To   *int   `json:"to"`
	}
	benchOut struct {
		ID int `json:"id"`
	}
)

// BenchmarkDispatch measures one event with its answer on an idle socket, without the
// transport: a plain handler with Bind, a typed one, and a typed one with rules.
func BenchmarkDispatch(b *testing.B) {
	for _, bb := range []struct {
		name     string
		register func(io *socketbridge.Server)
	}{
		{"plain", func(io *socketbridge.Server) {
			io.On("say", func(p *socketbridge.Packet) error {
				var in benchIn
				if err := p.Bind(&in); err != nil {
					return err
				}
				return p.Ack(benchOut{len(in.Text)})
			})
		}},
		{"typed", func(io *socketbridge.Server) {
			contract.Event[benchIn, benchOut]("say").Handle(io, func(_ *socketbridge.Packet, in benchIn) (benchOut, error) {
				return benchOut{len(in.Text)}, nil
			})
		}},
		{"typed with rules", func(io *socketbridge.Server) {
			contract.Event[benchRules, benchOut]("say").Handle(io, func(_ *socketbridge.Packet, in benchRules) (benchOut, error) {
				return benchOut{len(in.Text)}, nil
			})
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			io := newServer(b)
			bb.register(io)
			conn := answering{sent: make(chan string, 1)}
			r, err := io.Accept(conn)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Closed(transport.TransportClose, nil)
			send := func(text []byte) {
				if err := r.Receive(transport.Message{Data: text}); err != nil {
					b.Fatal(err)
				}
				<-conn.sent
			}
			send([]byte("0"))
			event := []byte(`20["say",{"room":"lobby","text":"Hello, everybody in this room!","to":7}]`)
			b.ReportAllocs()
			for b.Loop() {
				send(event)
			}
		})
	}
}
