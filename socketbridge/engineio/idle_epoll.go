//go:build linux

package engineio

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// idleWaits waits for the clients of idle WebSockets on plain TCP, with one goroutine for a
// whole server. An idle connection then has no reader, and so no stack, which would be a third
// of its memory. Its reader starts when the client sends something.
//
// The descriptors are in an epoll instance besides that of Go's runtime. Each wait is for one
// event (EPOLLONESHOT). The goroutine waits for the instance as for any other file. Both exist
// while a WebSocket is registered.
type idleWaits struct {
	runs sync.WaitGroup // of the goroutine

	mu         sync.Mutex // guards the fields below
	epoll      *os.File
	fd         int // of epoll
	registered int
	conns      []*conn // by descriptor
}

// idleEvents is the number of events that one system call takes.
const idleEvents = 64

// wait starts c's reader when there is something to read, or when the connection ends. It
// returns false if it cannot. The caller is c's reader; if wait returns true it must return,
// and receiverSem passes to the next reader.
func (w *idleWaits) wait(c *conn) bool {
	r, op := c.reader, syscall.EPOLL_CTL_MOD
	if r.epoll < 0 {
		if !w.register(c) {
			return false
		}
		op = syscall.EPOLL_CTL_ADD
	}
	epoll, fd := int(r.epoll), r.fd
	c.idle.Store(true) // from here on, another reader can have started
	err := syscall.EpollCtl(epoll, op, int(fd), &syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: fd,
	})
	if err == nil && c.state.Load() != closed { // finish may have called readAgain already
		return true
	}
	return !c.idle.CompareAndSwap(true, false)
}

// register makes c's WebSocket known. It returns false if that is not possible.
func (w *idleWaits) register(c *conn) bool {
	fd := -1
	if c.reader.raw.conn.Control(func(v uintptr) { fd = int(v) }) != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.registered == 0 && !w.open() {
		return false
	}
	w.registered++
	for len(w.conns) <= fd {
		w.conns = append(w.conns, nil)
	}
	w.conns[fd] = c
	c.reader.epoll, c.reader.fd = int32(w.fd), int32(fd)
	return true
}

// unregister must be called before the WebSocket of r is closed. The close removes its
// descriptor from the epoll instance.
func (w *idleWaits) unregister(r *reader) {
	if r.epoll < 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[r.fd] = nil
	if w.registered--; w.registered == 0 {
		_ = w.epoll.Close() // ends run
		w.conns = nil
	}
}

// open creates the epoll instance and starts run. It returns false if the system has none to
// give. The caller holds mu.
func (w *idleWaits) open() bool {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	_ = syscall.SetNonblock(fd, true) // has the runtime wait for it
	epoll := os.NewFile(uintptr(fd), "epoll")
	if epoll.SetReadDeadline(time.Time{}) != nil { // the runtime cannot wait for it
		_ = epoll.Close()
		return false
	}
	w.fd, w.epoll = fd, epoll
	w.runs.Go(func() { w.run(epoll) })
	return true
}

// run starts readers until epoll is closed.
func (w *idleWaits) run(epoll *os.File) {
	raw, err := epoll.SyscallConn()
	if err != nil { // it is closed already
		return
	}
	var events [idleEvents]syscall.EpollEvent
	n := 0
	poll := func(fd uintptr) bool {
		for {
			n, err = syscall.EpollWait(int(fd), events[:], 0)
			if !errors.Is(err, syscall.EINTR) {
				return n != 0
			}
		}
	}
	for raw.Read(poll) == nil && err == nil {
		for _, e := range events[:n] {
			if c := w.conn(int(e.Fd)); c != nil {
				c.readAgain()
			}
		}
	}
}

// conn returns the connection of a descriptor. It can be a later one than the event is for:
// its reader then starts for nothing.
func (w *idleWaits) conn(fd int) *conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fd >= len(w.conns) {
		return nil
	}
	return w.conns[fd]
}
