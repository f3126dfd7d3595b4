// Package simulation runs a cluster of three nodes in memory, in a testing/synctest bubble, and
// checks what the sessions and sockets promise. It is for tests only.
//
// Each node is a real fibersession.Store, a real Fiber app and a real socketbridge.Server with
// its polling transport; requests are handed to the app's handler without a network. The storage,
// its feed, the time and all failures are simulated: calls take virtual time, fail before or
// after they took place, or hang; a node loses its connection to the storage, its feed, or its
// memory.
//
// A run is a list of operations, which Generate makes from a seed. Run executes it on one
// goroutine that starts each operation at its virtual time, so that operations overlap as much as
// their calls of the storage take. The oracle records what was acknowledged and compares it with
// what each handler sees: see oracle.go for the rules.
//
// # Replay
//
// The operations, and the latency and fault of each call, follow from the seed. A call's are
// derived from its node, its key and its number on that key, so that goroutines which run at the
// same virtual moment do not exchange theirs. Virtual time decides the order of calls. What a
// seed does not decide: session IDs, the jitter of retries inside the library
// (math/rand/v2 has no seed), and the order of goroutines that wake at the same nanosecond. So a
// run repeats in most of its details, and Replay says how many of several runs of a seed failed.
package simulation
