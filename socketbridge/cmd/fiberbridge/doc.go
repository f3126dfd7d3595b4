// Command fiberbridge looks into a running cluster and acts on it: it lists the sockets and
// users who are online, disconnects sockets, ends sessions, emits events, and follows what the
// nodes send each other.
//
//	export FIBERBRIDGE_STORAGE=redis://127.0.0.1:6379/0
//	go run github.com/fiberbridge/fiberbridge/socketbridge/cmd/fiberbridge@latest who
//
// It works with servers of this module and, except for users and sessions, of Socket.IO for Node.
// fiberbridge gen needs no cluster: it writes TypeScript, JSON Schema or AsyncAPI for the events
// that an app declares with package contract.
//
// It is not a node: no server counts it or waits for it. fiberbridge help lists the commands, and
// docs/jobs.md explains them.
package main
