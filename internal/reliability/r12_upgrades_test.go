package reliability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// upgradeEvents is the number of events in each direction during one upgrade.
const upgradeEvents = 30

// R12: connections move from polling to a WebSocket while numbered events are sent in both
// directions. TestUpgrade_WithTraffic in package engineio places single requests around the
// moment of the upgrade; here the requests of each client race with it.
func TestR12_UpgradesUnderTraffic(t *testing.T) {
	n := startUpgradeNode(t)
	upgrades := scaled(100, 10_000)
	var onPolling, onWebSocket atomic.Int64 // events from the server
	browser := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer browser.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), scaled(time.Minute, 20*time.Minute))
	defer cancel()
	mustEach(t, upgrades, func(i int) error {
		c := &upgradeClient{}
		err := c.run(ctx, browser, n.addr, rand.New(rand.NewPCG(20261127, uint64(i))))
		onPolling.Add(int64(c.onPolling))
		onWebSocket.Add(int64(c.down - c.onPolling))
		return err
	})
	if onPolling.Load() == 0 || onWebSocket.Load() == 0 {
		t.Errorf("%d events came by polling and %d on WebSockets: the test shows nothing", onPolling.Load(), onWebSocket.Load())
	}
	report(t, "R12", "%d upgrades, %d events in each direction, %d of those from the server on polling: 0 lost, 0 duplicated, 0 reordered; load %s",
		upgrades, upgrades*upgradeEvents, onPolling.Load(), load(t))
}

// The same with the official client in Node, which decides itself what it sends when.
func TestR12_UpgradesOfTheOfficialClient(t *testing.T) {
	if !full {
		t.Skip("the short form is TestUpgrade_WithTraffic and the above; make reliability runs this")
	}
	const upgrades = 500
	n, node := startUpgradeNode(t), nodetest.Start(t)
	for i := range upgrades {
		c := node.Dial(t, n.url(), nodetest.Options{Count: []string{"down"}})
		for k := range upgradeEvents {
			c.Emit("up", k)
		}
		c.MustNext(nodetest.Upgraded)
		c.MustNext("end")
		if got := c.Counted("down"); got.N != upgradeEvents || got.Disorder != 0 {
			t.Fatalf("upgrade %d: the client got %+v, want %d in order", i, got, upgradeEvents)
		}
		if got, want := c.MustCall("count").String(), fmt.Sprintf("[%d,0]", upgradeEvents); got != want {
			t.Fatalf("upgrade %d: the server got %s, want %s", i, got, want)
		}
		c.Close()
	}
	report(t, "R12", "%d upgrades of socket.io-client 4.8 in Node: 0 lost, 0 duplicated, 0 reordered", upgrades)
}

// startUpgradeNode starts a node that emits numbered events to each socket, then "end", and
// counts the events "up" of each. "count" returns their number, and how many came out of order.
func startUpgradeNode(t *testing.T) *soloNode {
	var senders sync.WaitGroup
	n := startSoloNode(t, socketbridge.Config{}, func(n *soloNode) {
		n.io.OnConnection(func(s *socketbridge.Socket) {
			var received, disorder int // handlers of a socket run one at a time
			s.On("up", func(p *socketbridge.Packet) error {
				var i int
				if err := p.Bind(&i); err != nil {
					return err
				}
				if i != received {
					disorder++
				}
				received++
				return nil
			})
			s.On("count", func(p *socketbridge.Packet) error { return p.Ack(received, disorder) })
			senders.Go(func() { // waited for at the end of the test
				for i := range upgradeEvents {
					_ = s.Emit("down", i, "x") // fails only if the client has left
					if i%2 == 0 {
						time.Sleep(time.Millisecond) // so that some are sent before, some during and some after the upgrade
					}
				}
				_ = s.Emit("end")
			})
		})
	})
	t.Cleanup(senders.Wait)
	return n
}

// upgradeClient receives and sends events while it upgrades.
type upgradeClient struct {
	down      int // events received, which are numbered
	onPolling int // of them, by polling
	ended     bool
}

// run connects, upgrades as the official client does, and compares the counts.
func (c *upgradeClient) run(ctx context.Context, browser *http.Client, addr string, r *rand.Rand) error {
	p, packets, err := dialPollPeer(ctx, browser, addr)
	if err == nil {
		err = c.receive(packets)
	}
	if err != nil {
		return err
	}
	before := r.IntN(upgradeEvents) // events sent by polling, unless the upgrade is faster
	pause := time.Duration(r.IntN(3000)) * time.Microsecond
	var paused atomic.Bool
	var polling sync.WaitGroup
	var pollErr, postErr error
	up := 0
	polling.Go(func() { // waited for before the upgrade
		for pollErr == nil && !paused.Load() {
			var packets []string
			if packets, pollErr = p.poll(ctx); pollErr == nil {
				pollErr = c.receive(packets)
			}
		}
		c.onPolling = c.down
	})
	polling.Go(func() { // waited for before the upgrade
		for up < before && postErr == nil && !paused.Load() {
			packets := make([]string, 0, 3)
			for range min(1+r.IntN(3), before-up) {
				packets = append(packets, "4"+upEvent(up+len(packets)))
			}
			postErr = p.post(ctx, packets...)
			up += len(packets)
		}
	})
	time.Sleep(pause) // the upgrade meets other requests each time
	w, err := p.probe()
	paused.Store(true)
	polling.Wait()
	if err := errors.Join(err, pollErr, postErr); err != nil {
		return err
	}
	defer func() { _ = w.nc.Close() }()
	_ = w.nc.SetDeadline(time.Now().Add(time.Minute))
	if err := w.upgrade(); err != nil {
		return err
	}
	for ; up < upgradeEvents; up++ {
		if err := w.send(upEvent(up)); err != nil {
			return err
		}
	}
	if err := w.send(`20["count"]`); err != nil {
		return err
	}
	answer := ""
	for !c.ended || answer == "" {
		got, err := w.next()
		if err != nil {
			return fmt.Errorf("after %d events: %w", c.down, err)
		}
		if strings.HasPrefix(got, "30[") {
			answer = got
		} else if err := c.receive([]string{"4" + got}); err != nil {
			return err
		}
	}
	if want := fmt.Sprintf("30[%d,0]", upgradeEvents); answer != want {
		return fmt.Errorf("the server got %s, want %s", answer, want)
	}
	if c.down != upgradeEvents {
		return fmt.Errorf("the client got %d events, want %d", c.down, upgradeEvents)
	}
	return nil
}

func upEvent(i int) string { return fmt.Sprintf(`2["up",%d]`, i) }

// receive handles Engine.IO packets.
func (c *upgradeClient) receive(packets []string) error {
	for _, packet := range packets {
		switch {
		case packet == "6":
		case packet == `42["end"]`:
			c.ended = true
		case strings.HasPrefix(packet, `42["down",`):
			var event []json.RawMessage
			if err := json.Unmarshal([]byte(packet[2:]), &event); err != nil {
				return err
			}
			if string(event[1]) != fmt.Sprint(c.down) {
				return fmt.Errorf("the client got event %s, want %d", event[1], c.down)
			}
			c.down++
		default:
			return fmt.Errorf("the client got %q", packet)
		}
	}
	return nil
}
