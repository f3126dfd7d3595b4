// Package clients tests the server with Socket.IO clients that others wrote, each over each
// transport, against one site on the public API: the official client of three versions in
// Node and in Chromium, Debian's python3-socketio, a client for Go, and plain WebSockets.
// The outcomes fill the table `clients` of docs/compatibility.md.
//
//	make interop PKG=./internal/clients    # all of it, and the table
//	go test ./...                          # here: one transport of one version each
//
// It has only tests. It is a module of its own, so that the root module does not depend on
// the client for Go. That client runs in a process of its own, godriver, as Node and Python
// do: see package nodetest.
package clients
