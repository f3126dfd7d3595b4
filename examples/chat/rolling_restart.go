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
	moved  int           // sockets that came back
	span   time.Duration // between the first and the last of them
	peak   int           // the most of them in one second
	exited time.Duration // until the node had stopped
	ready  time.Duration // until the proxy sent requests to it again
}

// perSecond returns the mean rate of handshakes while sockets came back.
func (n nodeReport) perSecond() float64 {
	if n.moved < 2 {
		return 0
	}
	return float64(n.moved-1) / n.span.Seconds()
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
		r.away = append(r.away, back.after)
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
	var times []time.Time
	for _, back := range l.returns[before:] {
		times = append(times, back.at)
	}
	slices.SortFunc(times, time.Time.Compare)
	for first, last := 0, 0; last < len(times); last++ {
		for times[last].Sub(times[first]) >= time.Second {
			first++
		}
		n.peak = max(n.peak, last-first+1)
	}
	if n.moved = len(times); n.moved > 0 {
		n.span = times[n.moved-1].Sub(times[0])
	}
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
		if limit := 1.2 * float64(r.cfg.Drain.Rate); limit > 0 && n.perSecond() > limit {
			wrong = append(wrong, fmt.Sprintf("the visitors of node %d came back at %.1f per second", i+1, n.perSecond()))
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
		fmt.Fprintf(&b, "  node %d: stopped after %v, in use again after %v; %d sockets came back in %v, %.1f per second, %d in the busiest\n",
			i+1, n.exited.Round(100*time.Millisecond), n.ready.Round(100*time.Millisecond), n.moved, n.span.Round(100*time.Millisecond), n.perSecond(), n.peak)
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
