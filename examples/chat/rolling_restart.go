package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"
	"time"
)

// restartReport is the result of a rolling restart under load.
type restartReport struct {
	proxy    string
	cfg      clusterConfig
	visitors int
	took     time.Duration
	nodes    []nodeReport

	requests, messages, recovered, fetched int
	lost, doubled                          int
	failures                               []string
	away                                   []time.Duration
}

// nodeReport is what the restart of one node did.
type nodeReport struct {
	closed     []time.Time   // when the visitors saw the end of their connections, in order
	handshakes []time.Time   // when they sent the handshakes that succeeded, in order
	exited     time.Duration // until the node had stopped
	ready      time.Duration // until the proxy sent requests to it again
}

// judged is the time over which handshakes are counted to judge their rate. The official client
// waits 0.5 to 1.5 s, at random, so the count of one second varies even if connections are closed
// at a steady rate: at 30 per second by a standard deviation of 3.2. The count of three seconds
// varies by no more, because delays only move handshakes over its two ends.
const judged = 3 * time.Second

// busiest returns the highest number of sorted times within a span.
func busiest(times []time.Time, span time.Duration) (peak int) {
	for first, last := 0, 0; last < len(times); last++ {
		for times[last].Sub(times[first]) >= span {
			first++
		}
		peak = max(peak, last-first+1)
	}
	return peak
}

// perSecond returns the rate of handshakes in the busiest time of the length judged.
func (n nodeReport) perSecond() float64 {
	return float64(busiest(n.handshakes, judged)) / judged.Seconds()
}

// expectedPeak returns how many handshakes the busiest second has if each client waits as the
// official one does after its connection was closed: the mean of many trials, and a number that
// one in a hundred exceeds.
func (n nodeReport) expectedPeak() (mean float64, most int) {
	const trials = 300
	peaks := make([]int, trials)
	times := make([]time.Time, len(n.closed))
	for i := range peaks {
		for j, closed := range n.closed {
			times[j] = closed.Add(officialDelay(0))
		}
		slices.SortFunc(times, time.Time.Compare)
		peaks[i] = busiest(times, time.Second)
		mean += float64(peaks[i]) / trials
	}
	slices.Sort(peaks)
	return mean, peaks[trials*99/100]
}

// runRollingRestart starts the cluster, restarts its nodes in turn under load, and prints a report.
func runRollingRestart(ctx context.Context, cfg clusterConfig, visitors int) error {
	c, err := startCluster(ctx, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	if c.proxy == nil {
		return errors.New("a rolling restart needs Redis and a proxy: install redis-server, and nginx or haproxy")
	}
	report, err := c.rollingRestart(ctx, visitors, 2*limitEvery)
	if err != nil {
		return err
	}
	log.SetFlags(0)
	log.Print(report)
	return report.check()
}

// rollingRestart restarts the nodes in turn while visitors use the site, at the pace of load.
func (c *cluster) rollingRestart(ctx context.Context, visitors int, pace time.Duration) (*restartReport, error) {
	l, err := startLoad(c.urls()[0], visitors, pace)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	defer l.end()
	r := &restartReport{proxy: c.proxy.name, cfg: c.cfg, visitors: visitors}
	began := time.Now()
	for i := range c.nodes {
		log.Printf("restarting node %d", i+1)
		n, err := c.restartNode(ctx, i, l)
		if err != nil {
			return nil, err
		}
		r.nodes = append(r.nodes, n)
	}
	r.took = time.Since(began)
	l.settle()
	r.lost, r.doubled = l.tally()
	l.mu.Lock()
	defer l.mu.Unlock()
	r.requests, r.messages, r.failures = l.requests, l.messages, slices.Clone(l.failures)
	for _, back := range l.returns {
		r.away = append(r.away, back.at.Sub(back.closed))
		if back.recovered {
			r.recovered++
		}
	}
	for _, v := range l.visitors {
		r.fetched += len(v.fetched)
	}
	return r, nil
}

// restartNode restarts one node, and waits until the proxy sends requests to it.
func (c *cluster) restartNode(ctx context.Context, i int, l *load) (n nodeReport, err error) {
	l.mu.Lock()
	before := len(l.returns)
	l.mu.Unlock()
	began := time.Now()
	c.nodes[i].stop()
	n.exited = time.Since(began)
	if err := c.startNode(i); err != nil {
		return n, err
	}
	if err := waitForOK(ctx, "http://"+c.cfg.Nodes[i]+"/healthz", c.nodes[i]); err != nil {
		return n, err
	}
	if err := c.waitForProxy(ctx, i); err != nil {
		return n, err
	}
	n.ready = time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, back := range l.returns[before:] {
		n.closed, n.handshakes = append(n.closed, back.closed), append(n.handshakes, back.began)
	}
	slices.SortFunc(n.closed, time.Time.Compare)
	slices.SortFunc(n.handshakes, time.Time.Compare)
	return n, nil
}

// waitForProxy waits until the proxy sends a new visitor to a node.
func (c *cluster) waitForProxy(ctx context.Context, i int) error {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	return retry(ctx, c.proxy, func() error {
		res, err := client.Get(c.urls()[0] + "/login")
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if node := res.Header.Get("X-Node"); node != fmt.Sprintf("n%d", i+1) {
			return fmt.Errorf("node %d gets no request", i+1)
		}
		return nil
	})
}

// check returns an error if visitors noticed something, or came back faster than the nodes were
// told to send them.
func (r *restartReport) check() error {
	var wrong []string
	if len(r.failures) > 0 {
		wrong = append(wrong, fmt.Sprintf("%d requests failed, such as %s", len(r.failures), r.failures[0]))
	}
	if r.lost+r.doubled > 0 {
		wrong = append(wrong, fmt.Sprintf("%d messages were lost and %d doubled", r.lost, r.doubled))
	}
	for i, n := range r.nodes {
		limit := 1.2 * float64(r.cfg.Drain.Rate)
		if limit > 0 && n.perSecond() > limit {
			wrong = append(wrong, fmt.Sprintf("the visitors of node %d came back at %.1f per second", i+1, n.perSecond()))
		}
		if peak := busiest(n.closed, time.Second); limit > 0 && float64(peak) > limit+1 { // the first and the last can be a second apart
			wrong = append(wrong, fmt.Sprintf("node %d closed %d connections in one second", i+1, peak))
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// String returns the report as text.
func (r *restartReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rolling restart of %d nodes behind %s in %v: %d visitors, Drain{Delay: %v, Rate: %d}\n",
		len(r.nodes), r.proxy, r.took.Round(time.Second), r.visitors, r.cfg.Drain.Delay, r.cfg.Drain.Rate)
	for i, n := range r.nodes {
		fmt.Fprintf(&b, "  node %d: stopped after %v, in use again after %v\n", i+1, n.exited.Round(100*time.Millisecond), n.ready.Round(100*time.Millisecond))
		mean, most := n.expectedPeak()
		fmt.Fprintf(&b, "    closed %d connections, %d in the busiest second; handshakes: %.1f per second in the busiest %v, %d in the busiest second (%.0f to %d by the clients' delays)\n",
			len(n.closed), busiest(n.closed, time.Second), n.perSecond(), judged, busiest(n.handshakes, time.Second), mean, most)
	}
	fmt.Fprintf(&b, "  requests: %d, %d failed (with handshakes)\n", r.requests, len(r.failures))
	for _, f := range r.failures[:min(len(r.failures), 10)] {
		fmt.Fprintf(&b, "    %s\n", f)
	}
	fmt.Fprintf(&b, "  messages: %d, %d lost, %d doubled; %d of %d sockets recovered, %d messages loaded from the history\n",
		r.messages, r.lost, r.doubled, r.recovered, len(r.away), r.fetched)
	fmt.Fprintf(&b, "  away: p50 %v, p99 %v, longest %v",
		quantile(r.away, 0.5).Round(10*time.Millisecond), quantile(r.away, 0.99).Round(10*time.Millisecond), quantile(r.away, 1).Round(10*time.Millisecond))
	return b.String()
}
