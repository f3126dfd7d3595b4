// Package transporttest helps to test both sides of package transport without a
// network.
//
// The core is tested with a Conn, an in-memory connection whose peer is the test:
//
//	conn, err := transporttest.Connect(core, nil)
//	err = conn.Text(`0`)                 // what the client sends
//	m, err := conn.Next(ctx)             // what the core sent
//	conn.Leave(transport.PingTimeout, nil)
//
// A transport is tested with a Recorder, an Acceptor that keeps what it is told
// and notices calls that overlap, and with TestConn, the suite that every
// transport of this module passes.
//
// The package keeps nothing between tests and starts no goroutine that a test
// cannot wait for: a Conn's ends before its Done is closed.
package transporttest
