package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// M2: three nodes restart one after another under load, and no visitor notices: no request and no
// handshake fails, no message is lost or doubled, sockets are recovered, and they come back at
// the pace of the drain.
//
// It takes a minute and most of a machine, so `make rolling-restart` runs it, and the same with
// more visitors and both proxies.
func TestM2_RollingRestart(t *testing.T) {
	if os.Getenv("ROLLING_RESTART") == "" {
		t.Skip("a load test: make rolling-restart runs it")
	}
	needProxy(t, "haproxy")
	cfg := newConfig(t, "haproxy", redistest.Start(t).URL(), 3)
	cfg.StorageTimeout = 20 * time.Second // of a machine that is busy with other tests
	cfg.Drain = socketbridge.Drain{Delay: 2 * time.Second, Rate: 10}
	c, err := startCluster(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	const visitors = 60
	report, err := c.rollingRestart(t.Context(), visitors, 4*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if err := report.check(); err != nil {
		t.Error(err)
	}
	if report.messages < visitors || report.requests < visitors {
		t.Errorf("%d messages and %d requests are no load", report.messages, report.requests)
	}
	for i, n := range report.nodes {
		if len(n.closed) == 0 {
			t.Errorf("node %d had no sockets", i+1)
		}
	}
	// A socket can come back before its state is stored if Redis is slow for half a second.
	if report.recovered < len(report.away)*3/4 {
		t.Errorf("%d of %d sockets were recovered", report.recovered, len(report.away))
	}
}

// The report's own checks find what they are for.
func TestM2_RollingRestartReport(t *testing.T) {
	t.Parallel()
	good := restartReport{
		cfg:   clusterConfig{Drain: socketbridge.Drain{Rate: 10}},
		nodes: []nodeReport{{closed: every(77*time.Millisecond, 40), handshakes: every(85*time.Millisecond, 100)}, {}},
	}
	if err := good.check(); err != nil {
		t.Errorf("a good restart: %v", err)
	}
	for want, change := range map[string]func(*restartReport){
		"1 requests failed, such as GET /: 503": func(r *restartReport) { r.failures = []string{"GET /: 503"} },
		"1 messages were lost and 0 doubled":    func(r *restartReport) { r.lost = 1 },
		"0 messages were lost and 2 doubled":    func(r *restartReport) { r.doubled = 2 },
		"node 2 came back at 12.7 per second": func(r *restartReport) {
			r.nodes = append(r.nodes[:1:1], nodeReport{handshakes: every(81*time.Millisecond, 50)})
		},
		"node 1 closed 14 connections in one second": func(r *restartReport) { r.nodes = []nodeReport{{closed: every(75*time.Millisecond, 40)}} },
	} {
		bad := good
		change(&bad)
		if err := bad.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// every returns n times at an interval.
func every(interval time.Duration, n int) (times []time.Time) {
	for i := range n {
		times = append(times, time.Unix(1000, 0).Add(time.Duration(i)*interval))
	}
	return times
}

// M2: the busiest second of clients that are sent away at a steady rate is what their random delays
// make of it, and three seconds have the rate.
func TestM2_ExpectedPeak(t *testing.T) {
	t.Parallel()
	n := nodeReport{closed: every(time.Second/30, 100)}
	mean, most := n.expectedPeak()
	if mean < 32 || mean > 40 || most <= int(mean) || most > 48 {
		t.Errorf("the busiest second has %.1f handshakes, at most %d", mean, most)
	}
	for _, closed := range n.closed {
		n.handshakes = append(n.handshakes, closed.Add(officialDelay(0)))
	}
	slices.SortFunc(n.handshakes, time.Time.Compare)
	if got := n.perSecond(); got > 36 {
		t.Errorf("%.1f handshakes per second in the busiest %v, at a rate of 30", got, judged)
	}
}

// A message that does not arrive, arrives twice or is stored twice is counted.
func TestM2_LoadTally(t *testing.T) {
	t.Parallel()
	l := &load{rooms: map[string]*roomTally{"load-0": {last: 3, ids: map[string]int{}}}}
	for i := range 2 {
		v, err := newLoadVisitor(l, i)
		if err != nil {
			t.Fatal(err)
		}
		l.visitors = append(l.visitors, v)
	}
	for n, id := range []string{"a", "b", "c"} {
		for _, v := range l.visitors {
			v.received(RoomMessage{Message{ID: id}, "load-0", n + 1})
		}
	}
	if lost, doubled := l.tally(); lost != 0 || doubled != 0 {
		t.Errorf("%d lost and %d doubled, want none", lost, doubled)
	}
	l.rooms["load-0"].last = 4
	l.visitors[0].received(RoomMessage{Message{ID: "b"}, "load-0", 2})
	l.visitors[1].received(RoomMessage{Message{ID: "c"}, "load-0", 4})
	if lost, doubled := l.tally(); lost != 1 || doubled != 2 {
		t.Errorf("%d lost and %d doubled, want 1 and 2", lost, doubled)
	}
}
