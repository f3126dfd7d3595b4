package reliability_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// R17: three nodes behind HAProxy restart in turn under load. No request fails, no
// acknowledged event is lost, and clients are back within 3 s (p99).
//
// In a short run one node of two restarts, with few clients.
func TestR17_RollingRestart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	count, clients := scaled(1, 3), scaled(12, 300)
	const drain = 4 * time.Second // longer than two health checks of HAProxy
	nodes := make([]*nodeProcess, 3)
	for i := range nodes {
		nodes[i] = startNodeProcess(t, server.URL(), drain)
	}
	url := startHAProxy(t, nodes)
	l := &clusterLoad{t: t, pace: scaled(100*time.Millisecond, 200*time.Millisecond), failed: func(what string, _ time.Time, err error) {
		t.Errorf("%s: %v", what, err)
	}}
	l.start(clients, func(int) string { return url }, true, nil)
	began := time.Now()
	waitUntil(t, "load", func() bool { return l.requests.Load() > int64(clients) && l.sent.Load() > int64(clients/2) })
	for _, n := range nodes[:count] {
		if err := n.stop(); err != nil {
			t.Errorf("node %s ended with %v", n.addr, err)
		}
		n.start()
		n.waitUntilUp()
		before := l.requests.Load()
		time.Sleep(scaled(time.Second, 5*time.Second)) // HAProxy sends requests to it again
		waitUntil(t, "load after the restart", func() bool { return l.requests.Load() > before+int64(clients) })
	}
	took := time.Since(began)
	waitUntil(t, "all sockets", func() bool {
		for _, m := range l.members {
			if m.tab() == nil {
				return false
			}
		}
		return true
	})
	// The last broadcasts may be on their way.
	l.paused.Store(true)
	for deadline := time.Now().Add(10 * time.Second); l.missing() > 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	tabs := len(l.members)
	l.end()

	var outages []time.Duration
	var recovered, disconnects, twice int
	lost := l.missing()
	for i, m := range l.members {
		outages = append(outages, m.outages...)
		recovered, disconnects = recovered+m.recovered, disconnects+m.disconnects
		for _, f := range m.foreign {
			t.Errorf("%s got %s", m.v.me, f)
		}
		body, err := m.v.do(t.Context(), "GET", "/n")
		stored, _ := strconv.ParseInt(body, 10, 64)
		if acked, unknown := l.acked[i].Load(), l.unknown[i].Load(); err != nil || stored < acked || stored > acked+unknown {
			t.Errorf("%s: %d increments were acknowledged and %d had no answer, %s is stored (%v)", m.v.me, acked, unknown, body, err)
		}
		for value, room := range l.said {
			if room != m.v.me[:1] {
				continue
			}
			if m.said[value] > 1 {
				twice++
			}
		}
	}
	if disconnects == 0 {
		t.Error("no socket was disconnected: the restart was none")
	}
	if lost > 0 || twice > 0 {
		t.Errorf("%d acknowledged broadcasts did not reach a member of their room, %d did twice", lost, twice)
	}
	if p99 := quantile(outages, .99); full && p99 > 3*time.Second {
		t.Errorf("clients were away for %v (p99), want at most 3 s", p99)
	}
	report(t, "R17", "%d of 3 nodes restarted in %v behind HAProxy, %d clients: %d requests and %d events acknowledged, %d broadcasts, %d lost; %d disconnects, %d sockets recovered, away for %s",
		count, took.Round(time.Second), tabs, l.requests.Load(), l.events.Load(), len(l.said), lost, disconnects, recovered, describe(outages))
}
