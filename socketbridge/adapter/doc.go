// Package adapter is the contract between the core and what links its nodes: the
// servers of several processes, or of one. It holds types, and Memory, which links
// the servers of one process; it imports the standard library only.
//
//	hub := adapter.NewMemory()
//	a := socketbridge.New(socketbridge.Config{Adapter: hub.Join()})
//	b := socketbridge.New(socketbridge.Config{Adapter: hub.Join()})
//	a.Emit("news", 1) // reaches the sockets of b too
//
// Three ideas. Rooms are not the adapter's: each node knows its own sockets and
// rooms, and an adapter only carries messages that name rooms. There are two ways to
// send: Publish, which nobody answers, and Ask, to which every other node replies.
// And a payload is what the core has already encoded, JSON text with its binary
// attachments beside it, so that an adapter translates once, or not at all.
//
// An adapter does not store anything: a node that is not there misses a message.
// Unless it is a Log too: then broadcasts have one order, which is kept for a while.
package adapter
