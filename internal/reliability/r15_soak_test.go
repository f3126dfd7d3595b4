package reliability_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// The figures of R15: what each may grow by in an hour, after the warm-up.
var soakSlopes = []struct {
	name  string
	limit float64
	value func(s soakSample) float64
}{
	{"memory (RSS), MiB/h", 1, func(s soakSample) float64 { return float64(s.RSS) / (1 << 20) }},
	{"goroutines/h", 1, func(s soakSample) float64 { return float64(s.Goroutines) }},
	{"descriptors/h", 1, func(s soakSample) float64 { return float64(s.Files) }},
	{"keys in Redis/h", 10, func(s soakSample) float64 { return s.keys }},
}

// soakTells is the least time between the first and the last sample of the line: before, caches
// and pools still fill, and a line through them is steep.
const soakTells = 30 * time.Minute

// soakSample is a sample of the nodes: memory on average of those that are not replaced, the
// rest the sum of all.
type soakSample struct {
	clusterSample
	at   time.Duration
	keys float64
}

// R15: three nodes behind HAProxy, with a Redis (AOF) behind a proxy of its own, under steady
// load for SOAKTIME. Every minute brings one fault: Redis is killed and restarted, all
// connections to it are reset, or a node is drained and replaced. Outside the windows of these
// faults, no request and no event fails and no socket is disconnected. Nothing grows.
//
// Two of the nodes are never replaced. Before each fault the load pauses until idle connections
// and their goroutines have ended, so that samples can be compared: memory of these two nodes
// after a collection of garbage, the rest of all three. A straight line is laid through the samples after the first third.
// Its slope has a standard error. The test fails if the slope minus two errors is above the
// figure: then growth is certain. If the slope plus two errors is below it, the run shows the
// figure; otherwise, and if the line is shorter than soakTells, the report says that the run was
// too short to tell.
func TestR15_Soak(t *testing.T) {
	if os.Getenv("SOAKTIME") == "" {
		t.Skip("`make soak` runs it for SOAKTIME (2h); in a run of all tests, R17's short form has a deploy under load, and fibersession's TestFault_ tests have kills of Redis and resets")
	}
	length, err := time.ParseDuration(os.Getenv("SOAKTIME"))
	if err != nil {
		t.Fatal(err)
	}
	const (
		every  = time.Minute      // from fault to fault
		window = 20 * time.Second // after a fault: clients come back, the nodes subscribe again
		drain  = 4 * time.Second
	)
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "everysec")
	network := redistest.NewProxy(t, server.Addr())
	nodes := make([]*nodeProcess, 3)
	for i := range nodes {
		nodes[i] = startNodeProcess(t, network.URL(), drain)
	}
	url := startHAProxy(t, nodes)

	var faulty atomic.Int64 // Unix nanoseconds of the end of the last window
	var inWindow, outside, lost atomic.Int64
	calm := func(began time.Time) bool { return began.UnixNano() > faulty.Load() }
	l := &clusterLoad{t: t, pace: 250 * time.Millisecond, logouts: true, failed: func(what string, began time.Time, err error) {
		if !calm(began) {
			inWindow.Add(1)
			return
		}
		if outside.Add(1) <= 20 {
			t.Errorf("outside of a fault: %s: %v", what, err)
		}
	}}
	l.start(100, func(int) string { return url }, true, func() {
		if calm(time.Now()) {
			if outside.Add(1) <= 20 {
				t.Error("outside of a fault: a socket was disconnected")
			}
			return
		}
		lost.Add(1)
	})

	faults := []struct {
		name string
		run  func()
	}{
		{"connections to Redis reset", func() {
			for range 5 {
				network.Disconnect()
				time.Sleep(time.Second)
			}
		}},
		{"Redis restarted", func() {
			server.Kill()
			time.Sleep(2 * time.Second)
			server.Restart()
		}},
		{"a node replaced", func() {
			if err := nodes[2].stop(); err != nil {
				t.Errorf("the drained node ended with %v", err)
			}
			nodes[2].start()
			nodes[2].waitUntilUp()
		}},
	}
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	began := time.Now()
	var samples []soakSample
	for round := 0; ctx.Err() == nil; round++ {
		pause(ctx, time.Until(began.Add(time.Duration(round)*every+every/2)))
		l.paused.Store(true)
		pause(ctx, 15*time.Second) // HAProxy and fasthttp end what was idle for 10 s
		if ctx.Err() != nil {
			break
		}
		samples = append(samples, takeSoakSample(t, nodes, server, time.Since(began)))
		l.paused.Store(false)
		fault := faults[round%len(faults)]
		faulty.Store(time.Now().Add(24 * time.Hour).UnixNano())
		at := time.Since(began)
		fault.run()
		for i := range l.relogin { // Redis may have lost a second of writes: the session of a login among them
			if fault.name == "Redis restarted" {
				l.relogin[i].Store(true)
			}
		}
		faulty.Store(time.Now().Add(window).UnixNano())
		t.Logf("%v: %s", at.Round(time.Second), fault.name)
	}
	l.end()
	if len(samples) == 0 {
		t.Fatalf("no sample: SOAKTIME is %v, and the first one is taken after %v", length, every/2+15*time.Second)
	}
	printSamples(t, samples)
	var verdicts []string
	settled := samples[len(samples)/3:]
	long := settled[len(settled)-1].at-settled[0].at >= soakTells
	for _, s := range soakSlopes {
		slope, deviation := line(settled, s.value)
		verdict := "shown"
		switch {
		case !long:
			verdict = "run too short to tell"
		case slope-2*deviation > s.limit:
			verdict = "grows"
			t.Errorf("%s: the slope is %.2f, certain to %.2f: at most %v allowed", s.name, slope, 2*deviation, s.limit)
		case slope+2*deviation > s.limit:
			verdict = "run too short to tell"
		}
		verdicts = append(verdicts, fmt.Sprintf("%s %.2f ± %.2f (at most %v: %s)", s.name, slope, 2*deviation, s.limit, verdict))
	}
	for _, m := range l.members {
		for _, f := range m.foreign {
			t.Errorf("%s got %s", m.v.me, f)
		}
	}
	report(t, "R15", "%v, %d requests and %d events acknowledged, %d broadcasts; %d errors outside of faults, %d within, %d disconnects within; %s",
		length, l.requests.Load(), l.events.Load(), l.sent.Load(), outside.Load(), inWindow.Load(), lost.Load(), strings.Join(verdicts, ", "))
}

func takeSoakSample(t *testing.T, nodes []*nodeProcess, server *redistest.Server, at time.Duration) soakSample {
	t.Helper()
	sum := soakSample{at: at}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for i, n := range nodes {
		asked.Go(func() {
			s, err := n.sample()
			if err != nil {
				t.Errorf("sampling node %s: %v", n.addr, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if i < 2 {
				sum.RSS, sum.Heap = sum.RSS+s.RSS/2, sum.Heap+s.Heap/2
			}
			sum.Goroutines, sum.Files, sum.Sockets, sum.States = sum.Goroutines+s.Goroutines, sum.Files+s.Files, sum.Sockets+s.Sockets, sum.States+s.States
		})
	}
	asked.Wait()
	sum.keys, _ = strconv.ParseFloat(server.Do("dbsize"), 64)
	return sum
}

func printSamples(t *testing.T, samples []soakSample) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "at\tRSS MiB\theap MiB\tgoroutines\tfiles\tsockets\tsessions in memory\tkeys\t")
	for _, s := range samples {
		fmt.Fprintf(w, "%v\t%.1f\t%.1f\t%d\t%d\t%d\t%d\t%.0f\t\n", s.at.Round(time.Second), float64(s.RSS)/(1<<20), float64(s.Heap)/(1<<20), s.Goroutines, s.Files, s.Sockets, s.States, s.keys)
	}
	_ = w.Flush()
	t.Logf("memory is the average of the two nodes that were not replaced, the rest the sum of all:\n%s", b.String())
}

// line returns the slope per hour of the line with the least squares through samples, and its
// standard error. Both are infinite or NaN for fewer than three samples, which no limit exceeds.
func line(samples []soakSample, value func(soakSample) float64) (slope, deviation float64) {
	n := float64(len(samples))
	if n < 3 {
		return 0, math.Inf(1)
	}
	var x, y, xx, xy float64
	for _, s := range samples {
		x, y = x+s.at.Hours()/n, y+value(s)/n
	}
	for _, s := range samples {
		dx := s.at.Hours() - x
		xx, xy = xx+dx*dx, xy+dx*(value(s)-y)
	}
	slope = xy / xx
	var rest float64
	for _, s := range samples {
		d := value(s) - y - slope*(s.at.Hours()-x)
		rest += d * d
	}
	return slope, math.Sqrt(rest / (n - 2) / xx)
}

// A line through samples has the slope and the error that they were made with.
func TestR15_SlopeOfSamples(t *testing.T) {
	t.Parallel()
	made := func(perHour, noise float64, count int) (all []soakSample) {
		for i := range count {
			at := time.Duration(i) * time.Minute
			all = append(all, soakSample{at: at, keys: 100 + perHour*at.Hours() + noise*float64(1-2*(i%2))})
		}
		return all
	}
	keys := func(s soakSample) float64 { return s.keys }
	if slope, deviation := line(made(7, 0, 60), keys); math.Abs(slope-7) > 1e-6 || deviation > 1e-6 {
		t.Errorf("a line of slope 7: got %v ± %v", slope, deviation)
	}
	if slope, deviation := line(made(0, 5, 60), keys); math.Abs(slope) > 2*deviation || deviation > 5 {
		t.Errorf("noise of 5 without a slope: got %v ± %v", slope, deviation)
	}
	if slope, deviation := line(made(100, 5, 60), keys); slope-2*deviation < 50 {
		t.Errorf("noise of 5 with a slope of 100: got %v ± %v", slope, deviation)
	}
	if _, deviation := line(made(100, 5, 2), keys); !math.IsInf(deviation, 1) {
		t.Errorf("two samples have the error %v, want one that tells nothing", deviation)
	}
}
