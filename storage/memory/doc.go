// Package memory keeps a storage in the memory of one process, on gofiber's
// memory storage. It is the default of every app, and right as long as there is
// one node and its sessions may end with it.
//
//	s := memory.New()
//	defer s.Close()
//
// or, by importing the package, storage.Open("memory://").
//
// Two things to know:
//
//   - Lives are counted by a clock that moves once a second. An entry is never
//     gone before its ttl has passed, and at most two seconds after.
//   - That clock is one goroutine for the whole process, which gofiber's storage
//     starts when the first one is made and never ends. A test that looks for
//     leaked goroutines makes (and closes) one storage before it begins to count;
//     so does a test in a testing/synctest bubble, where entries do not expire.
//
// It does not limit how much it holds, and it does not survive a restart.
package memory
