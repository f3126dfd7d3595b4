// Package adapter defines the contract between the core, package socketbridge, and an
// adapter, which links the server with the servers on other nodes. It also contains
// Memory, an adapter for several servers in one process. It imports only the standard
// library.
//
//	hub := adapter.NewMemory()
//	a := socketbridge.New(socketbridge.Config{Adapter: hub.Join()})
//	b := socketbridge.New(socketbridge.Config{Adapter: hub.Join()})
//	a.Emit("news", 1) // reaches the sockets of both servers
//
// Package redisadapter links servers through Redis.
//
// # Writing an adapter
//
// An adapter for another system, for example NATS, is a package beside redisadapter,
// such as socketbridge/natsadapter. Its type implements these interfaces:
//
//   - Adapter, always: send messages to the other nodes (Publish), send requests and
//     collect their replies (Ask), and receive for this node (Run).
//   - RoomWatcher, optionally: follow which rooms have sockets on this node, to subscribe
//     only to those, for example with one subject per room.
//   - Pinger, optionally: say whether this node sends and receives at present, for health
//     checks.
//   - Log, optionally: store broadcasts for a while in one order for all nodes, for
//     example in a stream. Connection state recovery across nodes requires it.
//   - Emitter, optionally: send without being a node. Package socketbridge/emitter requires
//     it.
//
// The core implements Node, the receiving side: the adapter calls Node.Deliver for a
// published message and Node.Answer for a request. Complete counts replies, so that
// Ask knows when it has all of them.
//
// Package adaptertest is the conformance suite: its Run checks an Adapter and its RunLog
// a Log. memory.go and memory_log.go are the smallest implementations of all.
//
// # Design
//
//   - Adapters do not track room membership. Each node knows its own sockets and rooms;
//     a message names the rooms that it is for, and the receiving nodes resolve them.
//   - There are two ways to send. Publish expects no replies; every other node replies to
//     Ask.
//   - A Payload is already encoded, as JSON text with binary attachments, so that an
//     adapter converts it at most once for all receivers.
//   - An Adapter stores nothing, so a disconnected node misses messages. A Log stores
//     broadcasts.
package adapter
