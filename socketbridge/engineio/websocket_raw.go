//go:build unix

package engineio

import (
	"net"
	"syscall"
)

// rawOf returns the descriptor of a plain TCP connection, for reads and writes that do not wait.
// It returns nil for other connections.
func rawOf(nc net.Conn) syscall.RawConn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil { // the connection is closed
		return nil
	}
	return raw
}

func readFD(fd uintptr, b []byte) (int, error)  { return syscall.Read(int(fd), b) }
func writeFD(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
