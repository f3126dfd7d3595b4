//go:build !unix

package engineio

import (
	"net"
	"syscall"
)

// rawOf returns nil: goroutines of their own read and write, and wait.
func rawOf(net.Conn) syscall.RawConn { return nil }

func readFD(uintptr, []byte) (int, error)  { return 0, syscall.EINVAL }
func writeFD(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }
