//go:build unix

package engineio

import (
	"cmp"
	"syscall"
)

// rawOf returns the descriptor of a plain TCP connection, for reads and writes that do not wait.
// It returns nil for other connections.
func rawOf(nc stream) syscall.RawConn {
	tcp, ok := nc.(ownTCP)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil { // the connection is closed
		return nil
	}
	return raw
}

// CloseWrite closes the writing half of the connection.
func (c ownTCP) CloseWrite() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Shutdown(int(fd), syscall.SHUT_WR) })
	return cmp.Or(err, failed)
}

func readFD(fd uintptr, b []byte) (int, error)  { return syscall.Read(int(fd), b) }
func writeFD(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
