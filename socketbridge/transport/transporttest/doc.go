// Package transporttest tests both sides of package transport without a network.
//
// To test the core, use Conn: an in-memory connection whose client is the test.
//
//	conn, err := transporttest.Connect(core, nil)
//	err = conn.Text(`0`)                 // the client sends a message
//	m, err := conn.Next(ctx)             // the client receives the answer
//	conn.Leave(transport.PingTimeout, nil)
//
// To test a transport, use TestConn, the conformance suite that all transports of this
// module pass. It is built on Recorder, an Acceptor that records messages and detects
// calls that overlap.
//
// The package keeps no global state. The one goroutine that a Conn starts ends before
// its Done channel is closed.
package transporttest
