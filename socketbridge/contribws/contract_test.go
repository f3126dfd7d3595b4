package contribws_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// TestM1_Contract: typed events work with the connections of contrib/socketio. Binary data is
// base64 there, because plain messages have no attachments.
func TestM1_Contract(t *testing.T) {
	t.Parallel()
	type file struct {
		contract.Tuple
		Name string `validate:"max=5"`
		Data []byte
	}
	const save = contract.Event[file, file]("save")
	s := newSite(t, options{setup: func(s *site) {
		save.Handle(s.io, func(_ *socketbridge.Packet, in file) (file, error) { return in, nil })
	}})
	c := (&browser{site: s}).dial("/ws/lobby", "Sec-WebSocket-Protocol", socketbridge.PlainAcks)
	c.send(`[1,"save","a.txt","AQI="]`)
	if got, want := c.read(), `[-1,"a.txt","AQI="]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c.send(`[2,"save","long.txt","AQI="]`)
	if got, want := c.read(), `[-2,{"error":{"code":"invalid_argument","message":"expected a value with max=5 at /0","data":{"expected":"a value with max=5","path":"/0"}}}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
