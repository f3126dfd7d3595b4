package contribws

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// endedConn is a transport.Conn that has ended.
type endedConn struct{ transport.Conn }

func (endedConn) Send(transport.Flags, ...transport.Message) error { return transport.ErrClosed }
func (endedConn) Close(transport.Reason)                           {}

// A connection that the library does not accept ends, and the log says so.
func TestS6_LibraryRefuses(t *testing.T) {
	t.Parallel()
	var log noticetest.Log
	l := newLibrary(Config{Logger: log.Logger()})
	k := newConn(&route{library: l}, nil)
	k.Conn = endedConn{}
	k.libraryConn.in = [][]byte{[]byte("no request\r\n\r\n")}
	l.serve(k)
	log.Check(t, noticetest.Declared(t, ".")["library_refused"], l.notices.Counts())
	<-k.libraryDone
}
