package transport_test

import (
	"bytes"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// echo accepts every connection and sends each message back.
type echo struct{}

func (echo) Accept(c transport.Conn) (transport.Receiver, error) { return &echoReceiver{c}, nil }

type echoReceiver struct{ conn transport.Conn }

func (r *echoReceiver) Receive(m transport.Message) error {
	// m.Data is valid only during the call, and Send retains it: send a copy.
	return r.conn.Send(0, transport.Message{Binary: m.Binary, Data: bytes.Clone(m.Data)})
}

func (r *echoReceiver) Closed(reason transport.Reason, cause error) {
	fmt.Println("closed:", reason)
}

// An Acceptor gives each connection of a transport a Receiver. The engineio server, or
// here an in-memory connection, calls them.
func ExampleAcceptor() {
	conn, err := transporttest.Connect(echo{}, nil)
	if err != nil {
		panic(err)
	}
	_ = conn.Text("hello")
	fmt.Printf("%s\n", conn.Sent()[0].Data)
	conn.Leave(transport.TransportClose, nil)
	// Output:
	// hello
	// closed: transport close
}
