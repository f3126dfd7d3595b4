package storagetest

import (
	"syscall"
	"testing"
)

// FreePort returns a port of 127.0.0.1 for a server that the test starts in another
// process, or more than once. Until the test ends, nobody is given it who asks for any
// free port: in the time between finding and using it, or while the server is down, a
// test that runs beside could have it otherwise, and answer in the server's place.
//
// A socket is bound to it that does not listen. A server that names the port can listen
// all the same, with SO_REUSEADDR, which servers and package net set.
func FreePort(t testing.TB) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatalf("a port: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatalf("a port: %v", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("a port: %v", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("a port: %v", err)
	}
	return name.(*syscall.SockaddrInet4).Port
}
