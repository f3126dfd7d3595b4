package transporttest_test

import (
	"context"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

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
