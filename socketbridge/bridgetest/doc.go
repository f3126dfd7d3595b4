// Package bridgetest tests the handlers of a socketbridge.Server: with clients that have a
// session, without a network, and in milliseconds.
//
//	func TestIncr(t *testing.T) {
//		io := newServer(t) // of the app: its Server, with its handlers
//		c := bridgetest.Dial(t, io, bridgetest.Session(map[string]any{"count": 1}))
//		c.Ask("incr").Want(2)
//	}
//
// All but the network is real: the handshake passes the app's middlewares and the checks of the
// server, the session is stored in the server's store and named by its cookie, and packets are
// those of Socket.IO. Only the transport is replaced, so there are no pings, no long-polling, and
// no limits by address or rate.
//
// # Clients
//
// Dial connects a client, and TryDial one that may be refused. Client.Emit sends an event, and
// Client.Ask one whose answer it waits for. Client.Want takes an event that has arrived, and
// Client.WantNothing checks that none has. A failed check says what arrived instead, and what the
// handlers returned. Client.Socket is the server's side of the client.
//
// A Visitor is a browser. It keeps cookies, makes requests to the app, and connects any number of
// clients with one session. Every client has one: Client.Visitor.
//
// # Waiting
//
// Nothing sleeps. Want, Ask and the others return as soon as what they wait for has happened, and
// fail after 5 seconds. WantNothing and Client.Settle wait until the server has nothing to do any
// more. Outside of a bubble of testing/synctest they do not know of goroutines that the app
// starts, of timers, and of other nodes.
//
// # Time
//
// All of it works in a bubble of testing/synctest, in which time.Sleep takes no time. Sessions
// expire there in an instant, and a failed Want too. Create the store and the server in the
// bubble, and end them before the bubble ends, for example with t.Cleanup.
//
// Everything that Dial and Visit begin ends with the test. The server and the store belong to the
// test, which has to close them.
package bridgetest
