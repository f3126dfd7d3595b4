package engineio

import (
	"errors"
	"sync"
	"syscall"
)

// wsOutbox writes the queue of a connection to a WebSocket on plain TCP. It implements
// serial.Trier.
type wsOutbox conn

// Try writes a batch if the network takes it without waiting.
func (o *wsOutbox) Try(batch []packet) bool {
	c := (*conn)(o)
	if !c.ws.tryWrite(c.reader.raw.conn, batch) {
		return false
	}
	c.written(batch)
	return true
}

// Work writes a batch, and waits for the network. It continues where Try has stopped.
func (o *wsOutbox) Work(batch []packet) { (*conn)(o).writeBatch(batch) }

// Notify has a flusher call the queue's Run.
func (o *wsOutbox) Notify() { o.server.flusherOf((*conn)(o)).add((*conn)(o)) }

// tryWrite is write without waiting. If it returns false, write must be called with the same
// batch: it continues where tryWrite has stopped.
func (w *wsWriter) tryWrite(raw syscall.RawConn, batch []packet) bool {
	size := 0
	for i := range batch {
		size += len(batch[i].data)
	}
	if size > flushSize {
		return false
	}
	pooled := writeBuffers.Get().(*[]byte)
	buf := (*pooled)[:0]
	for i := range batch {
		buf = appendFrame(buf, &batch[i])
	}
	if n := writeNow(raw, buf); n < len(buf) {
		rest := append([]byte(nil), buf[n:]...)
		w.rest = &rest
	}
	*pooled = buf
	writeBuffers.Put(pooled)
	return w.rest == nil
}

// rawWrite is one write that does not wait. It is reused, because the function that
// RawConn.Write calls would otherwise be allocated for each write.
type rawWrite struct {
	data []byte
	n    int
	call func(fd uintptr) bool
}

var rawWrites = sync.Pool{New: func() any {
	w := new(rawWrite)
	w.call = w.write
	return w
}}

// writeNow writes as much of data as raw takes without waiting and returns its length. It
// returns 0 for an error: the next write reports it.
func writeNow(raw syscall.RawConn, data []byte) int {
	w := rawWrites.Get().(*rawWrite)
	w.data, w.n = data, 0
	err := raw.Write(w.call)
	n := w.n
	w.data = nil
	rawWrites.Put(w)
	if err != nil { // interrupted, or the deadline of an earlier write has passed
		return 0
	}
	return n
}

func (w *rawWrite) write(fd uintptr) bool {
	for {
		n, err := writeFD(fd, w.data)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		w.n = max(n, 0)
		return true // never wait
	}
}
