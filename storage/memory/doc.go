// Package memory is a storage in the memory of one process, on top of gofiber's
// memory storage. It is the default storage, and the right choice for a single node
// whose sessions need not survive a restart.
//
//	s := memory.New()
//	defer s.Close()
//
// or, after importing the package, storage.Open("memory://").
//
// It has two peculiarities:
//
//   - Expiry uses a clock that ticks once a second. An entry never expires before
//     its ttl has passed, and at most two seconds after it.
//   - That clock is one goroutine per process, which gofiber's storage starts with
//     the first storage and never ends. A test that checks for leaked goroutines
//     must create (and close) one storage before it starts counting. So must a
//     test in a testing/synctest bubble; entries do not expire in a bubble.
//
// The storage does not limit how much it holds.
package memory
