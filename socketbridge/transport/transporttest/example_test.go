package transporttest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// Connect tests an Acceptor: the test plays the client.
func ExampleConnect() {
	core := &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		return a.Conn.Send(0, transport.Message{Data: []byte("you said " + string(m.Data))})
	}}
	conn, err := transporttest.Connect(core, nil)
	if err != nil {
		panic(err)
	}
	_ = conn.Text("hello")
	m, _ := conn.Next(context.Background())
	fmt.Println(string(m.Data))

	conn.Leave(transport.TransportClose, nil)
	reason, _ := conn.Reason()
	fmt.Println(reason)
	// Output:
	// you said hello
	// transport close
}

// A Recorder tests a transport: it stands in for the core.
func ExampleRecorder() {
	ctx := context.Background()
	core := &transporttest.Recorder{}
	conn, _ := transporttest.Connect(core, nil) // in place of a client of the transport under test
	_ = conn.Text("hello")
	conn.Leave(transport.TransportClose, nil)

	accepted, _ := core.Next(ctx)
	m, _ := accepted.Next(ctx)
	reason, _, err := accepted.End(ctx)
	fmt.Println(string(m.Data), reason, err)
	// Output: hello transport close <nil>
}

// The test of a transport calls TestConn with a function that starts a server of the
// transport and connects to it.
func ExampleTestConn() {
	_ = func(t *testing.T) { // func TestConformance(t *testing.T)
		transporttest.TestConn(t, func(tb testing.TB, a transport.Acceptor) (transporttest.Peer, error) {
			conn, err := transporttest.Connect(a, nil) // replace with the transport under test
			conn.Limit(1000)
			return memoryPeer{conn}, err
		})
	}
}
