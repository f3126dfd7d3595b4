package redistest

import (
	"syscall"
	"testing"
)

// FreePort returns a port of 127.0.0.1 for a server that the test starts in another
// process, or more than once. It reserves the port until the test ends: the kernel
// gives it to no listener or connection that asks for any free port. Without that,
// a parallel test could get the port before the server listens, or while it is
// down, and answer in its place.
//
// The reservation is a bound socket that does not listen. A server that names the
// port can still listen on it with SO_REUSEADDR, which redis-server and package net
// set.
func FreePort(t testing.TB) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatalf("reserving a port: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatalf("reserving a port: %v", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("reserving a port: %v", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("reserving a port: %v", err)
	}
	return name.(*syscall.SockaddrInet4).Port
}
