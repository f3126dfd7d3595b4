// Package serial runs work in order without keeping a goroutine for it.
//
//	var q serial.Queue[message]
//	q.MaxItems = 1024
//	q.Start(func(batch []message) { write(batch) })
//	if err := q.Push(m); err != nil { … }   // never blocks
//	q.Close()                               // nothing runs any more
//
// Three ideas: a worker goroutine lives only while there is work, so that ten
// thousand idle queues cost no stack; the worker is given all that waits at once,
// so that the work can be done together; what is in work counts against the limits
// until it is done, so that a queue's bounds bound memory.
//
// A Signal is the same economy for an event that happens once: its channel is made for
// who waits.
//
// It does not order the work of several queues, and it does not recover panics.
package serial
