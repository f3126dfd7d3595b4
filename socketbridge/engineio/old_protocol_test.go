package engineio_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// TestS2_OldProtocolIsNamedInTheLog checks that the refusal of a client of Socket.IO 2 is
// logged once, with what to change, and that the client gets the error of the reference.
func TestS2_OldProtocolIsNamedInTheLog(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	s := open(t, echoRecorder(), engineio.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		if a := s.do("GET", "EIO=3&transport=polling&b64=1", ""); a.status != 400 || a.body != `{"code":5,"message":"Unsupported protocol version"}` {
			t.Errorf("got %d %s", a.status, a.body)
		}
		s.do("GET", "transport=polling", "")
	}
	for _, want := range []string{"clients of Socket.IO 2", "upgrade the client to Socket.IO 3 or 4", "does not name a version"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%q is logged %d times, want once:\n%s", want, n, log.String())
		}
	}
}
