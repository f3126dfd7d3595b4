package socketbridge_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// A client that keeps no cookie comes back with another session. As long as nothing was
// stored in either, its private ID says that it is the same client.
func TestRecovery_ClientWithoutCookies(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	tests := map[string]struct {
		event     string // that the client sends before its connection breaks
		meanwhile func(a *agent)
		recovered bool
	}{
		"nothing was ever stored":             {"join", func(*agent) {}, true},
		"the socket stored something":         {"remember", func(*agent) {}, false},
		"the client comes back with a login":  {"join", func(a *agent) { a.post("/login/ann") }, false},
		"the client comes back with a cookie": {"join", func(a *agent) { a.post("/visit") }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newRecoverySite(t)
			gone := make(chan struct{}, 1)
			s.io.OnConnection(func(socket *socketbridge.Socket) {
				socket.OnDisconnect(func(socketbridge.Reason) { gone <- struct{}{} })
			})
			s.io.On("remember", func(p *socketbridge.Packet) error {
				p.Session().Set("seen", true)
				if err := p.Socket().Join("room"); err != nil {
					return err
				}
				return p.Ack(true)
			})
			b := s.serveCuttable()
			a := s.agent()
			c := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
			c.MustCall(tt.event)
			id := c.State().ID
			b.cut()
			c.MustNext(nodetest.Disconnected)
			<-gone
			if err := s.io.To("room").Emit("note"); err != nil {
				t.Fatal(err)
			}
			a.http.CloseIdleConnections() // they were closed by cut too
			tt.meanwhile(a)
			a.resume(n, c)
			if st := c.State(); st.Recovered != tt.recovered || (st.ID == id) != tt.recovered {
				t.Errorf("got state %+v after socket %s, want it recovered: %v", st, id, tt.recovered)
			}
			c.MustCall("state")
			if got := c.Waiting("note") == 1; got != tt.recovered {
				t.Errorf("got the room's event: %v, want %v", got, tt.recovered)
			}
		})
	}
}
