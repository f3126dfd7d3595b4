//go:build !unix

package engineio

import (
	"syscall"
)

// rawOf returns nil: goroutines of their own read and write, and wait.
func rawOf(stream) syscall.RawConn { return nil }

func readFD(uintptr, []byte) (int, error)  { return 0, syscall.EINVAL }
func writeFD(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }
