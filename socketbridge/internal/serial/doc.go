// Package serial runs work in order without keeping a goroutine for each queue.
//
//	var q serial.Queue[message]
//	q.MaxItems = 1024
//	q.Start(func(batch []message) { write(batch) })
//	if err := q.Push(m); err != nil { … }   // never blocks
//	q.Close()                               // returns when the worker has ended
//
// Queue (queue.go) is a bounded queue with a worker:
//
//   - The worker goroutine lives only while there is work, so ten thousand idle
//     queues need no stacks.
//   - The worker gets all waiting items as one batch, so that it can process them
//     together.
//   - Items count against the limits until they have been processed, so the limits
//     bound the queue's memory.
//
// The other types are small building blocks for objects of which there are many:
//
//   - Signal (signal.go) is an event that happens once. Its channel is created only
//     when a goroutine waits for the event.
//   - Context (context.go) is a context that is created on first use.
//   - Group (group.go) counts running tasks and can be waited for with a context.
//
// The package does not order work across queues, and it does not recover panics.
package serial
