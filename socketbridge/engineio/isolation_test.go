package engineio_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// D2: clients come and go while the application sends to all of them. Every message carries
// the ID of its connection. None may reach another client, and nothing may panic.
func TestD2_NoMessageReachesAnotherClient(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	recorder := &transporttest.Recorder{OnAccept: func(c transport.Conn) error {
		senders.Go(func() { // the test waits for it at the end; it keeps sending after the client has left
			for {
				select {
				case <-stop:
					return
				default:
				}
				if errors.Is(c.Send(0, transport.Message{Data: []byte(c.ID())}), transport.ErrClosed) {
					return
				}
				time.Sleep(20 * time.Microsecond)
			}
		})
		return nil
	}}
	// The queue's limits are raised so that a slow machine does not reach them.
	s := open(t, recorder, engineio.Config{Limits: engineio.Limits{MaxQueueMessages: 1 << 24, MaxQueueBytes: 1 << 30}})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for round := range rounds {
				var c *wsClient
				if (i+round)%2 == 0 {
					c = s.openWS()
				} else {
					c = s.openPoll().upgrade()
				}
				for range 10 {
					f, err := c.read()
					if err != nil || f.data != "2" && f.data != "4"+c.sid {
						t.Errorf("the client of %s got %q, %v", c.sid, f.data, err)
						break
					}
				}
				if round%3 == 0 {
					_ = c.Close()
				} else {
					c.nc.Close()
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	senders.Wait()
	waitFor(t, func() bool { return s.engine.Stats().Connections == 0 && s.engine.Stats().WebSockets == 0 })
	for _, a := range recorder.All() {
		if err := a.Err(); err != nil {
			t.Error(err)
		}
	}
}

// Connection IDs are never logged.
func TestLogsDoNotTellIDs(t *testing.T) {
	t.Parallel()
	recorder := &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		if string(m.Data) == "panic" {
			panic("of the receiver")
		}
		return errors.New("refused")
	}}
	s := open(t, recorder, engineio.Config{Limits: engineio.Limits{MaxBacklogBytes: 1}})
	var sids []string
	for _, body := range []string{"4panic", "4x", "nonsense", "1"} {
		p := s.openPoll()
		sids = append(sids, p.sid)
		a := s.nextConn()
		if body == "4x" {
			for range 4 {
				_ = a.Conn.Send(0, transport.Message{Data: []byte("x")})
			}
		}
		p.post(body)
		s.do("GET", p.query(), "", "Origin", "https://evil.example")
		p.get()
	}
	log := s.log.String()
	for _, sid := range sids {
		if strings.Contains(log, sid) {
			t.Errorf("the log has the ID %s:\n%s", sid, log)
		}
	}
	for _, want := range []string{"the receiver panicked", "the client reads too slowly", "request refused because of its origin"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not contain %q:\n%s", want, log)
		}
	}
}
