package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
)

// clusterConfig is the configuration of the cluster.
type clusterConfig struct {
	Storage   string    // STORAGE; with "", startCluster starts a Redis, or uses memory if Redis is not installed
	Proxy     string    // PROXY: "nginx", "haproxy" or "none"; with "", the first one that is installed
	ProxyAddr string    // the address on which the proxy listens
	Nodes     []string  // the addresses on which the nodes listen
	Out       io.Writer // receives the output of all processes

	Drain          socketbridge.Drain // DRAIN_DELAY and DRAIN_RATE of the nodes
	StorageTimeout time.Duration      // STORAGE_TIMEOUT of the nodes, unless it is 0
}

func clusterConfigFromEnv() clusterConfig {
	return clusterConfig{Storage: env("STORAGE", ""), Proxy: env("PROXY", ""), ProxyAddr: confProxyAddr, Nodes: confNodeAddrs, Out: os.Stderr,
		Drain: drainFromEnv(socketbridge.Drain{Delay: 2 * time.Second, Rate: 20})}
}

// runCluster starts the cluster and runs it until ctx is canceled. A line with a number on
// in stops that node, or starts it again.
func runCluster(ctx context.Context, cfg clusterConfig, in io.Reader) error {
	c, err := startCluster(ctx, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	log.Printf("open %s", strings.Join(c.urls(), " or "))
	if len(c.nodes) > 1 {
		log.Printf("type 1 to %d and Enter to stop that node, and again to start it; Ctrl-C stops everything", len(c.nodes))
	}
	lines := make(chan string)
	go func() { // runs until the program exits: reading from a terminal cannot be interrupted
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line := <-lines:
			n, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil || n < 1 || n > len(c.nodes) {
				continue
			}
			if err := c.toggle(ctx, n-1); err != nil && ctx.Err() == nil {
				log.Print(err)
			}
		}
	}
}

// cluster is the set of running processes.
type cluster struct {
	cfg     clusterConfig
	dir     string   // the working folder of Redis and the proxy
	program string   // the program of the nodes: this executable
	redis   *process // nil if STORAGE names another one
	nodes   []*process
	proxy   *process // nil if there is none
}

// startCluster starts all processes and waits until they answer.
func startCluster(ctx context.Context, cfg clusterConfig) (c *cluster, err error) {
	c = &cluster{cfg: cfg}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if c.program, err = os.Executable(); err != nil {
		return c, err
	}
	if c.dir, err = makeDir(); err != nil {
		return c, err
	}
	if err = c.startStorage(ctx); err != nil {
		return c, err
	}
	if strings.HasPrefix(c.cfg.Storage, "memory:") {
		log.Print("sessions and rooms are in memory, which nodes cannot share: starting only one node")
		c.cfg.Nodes = c.cfg.Nodes[:1]
		c.cfg.Proxy = "none"
	}
	c.nodes = make([]*process, len(c.cfg.Nodes))
	for i := range c.nodes {
		if err = c.startNode(i); err != nil {
			return c, err
		}
	}
	for i, node := range c.nodes {
		if err = waitForOK(ctx, "http://"+c.cfg.Nodes[i]+"/healthz", node); err != nil {
			return c, err
		}
	}
	return c, c.startProxy(ctx)
}

func (c *cluster) startStorage(ctx context.Context) error {
	if c.cfg.Storage != "" {
		return nil
	}
	program := findProgram("redis-server")
	if program == "" {
		log.Print("redis-server is not installed (apt-get install redis-server) and STORAGE is not set")
		c.cfg.Storage = "memory://"
		return nil
	}
	addr, err := findFreeAddr()
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(addr)
	c.redis, err = startProcess("redis", c.cfg.Out, nil, program, "--bind", host, "--port", port, "--dir", c.dir,
		"--save", "", "--appendonly", "no", "--loglevel", "warning")
	if err != nil {
		return err
	}
	c.cfg.Storage = "redis://" + addr
	return retry(ctx, c.redis, func() error {
		store, err := storage.Open(c.cfg.Storage)
		if err != nil {
			return err
		}
		return store.Close()
	})
}

func (c *cluster) startNode(i int) (err error) {
	if err := checkFree(c.cfg.Nodes[i]); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(c.cfg.Nodes[i])
	if err != nil {
		return err
	}
	trustedProxy := "127.0.0.1"
	if c.cfg.Proxy == "none" {
		trustedProxy = ""
	}
	env := []string{"DRAIN_DELAY=" + c.cfg.Drain.Delay.String(), "DRAIN_RATE=" + strconv.Itoa(c.cfg.Drain.Rate), "HOST=" + host, "PORT=" + port, "STORAGE=" + c.cfg.Storage, fmt.Sprintf("NODE=n%d", i+1), "PROXY=" + trustedProxy}
	if d := c.cfg.StorageTimeout; d > 0 {
		env = append(env, "STORAGE_TIMEOUT="+d.String())
	}
	c.nodes[i], err = startProcess(fmt.Sprintf("node %d", i+1), c.cfg.Out, env, c.program, "-node")
	return err
}

func (c *cluster) startProxy(ctx context.Context) error {
	if c.cfg.Proxy == "none" {
		return nil
	}
	proxy, program := findProxy(c.cfg.Proxy)
	if program == "" {
		if c.cfg.Proxy != "" {
			return fmt.Errorf("PROXY=%s: not installed or not supported (use nginx, haproxy, none)", c.cfg.Proxy)
		}
		log.Print("no proxy is installed (apt-get install nginx-light, or haproxy): open the nodes by their own addresses")
		return nil
	}
	return c.runProxy(ctx, proxy, program)
}

func (c *cluster) runProxy(ctx context.Context, proxy proxyProgram, program string) error {
	if err := checkFree(c.cfg.ProxyAddr); err != nil {
		return err
	}
	file, err := proxy.writeConfig(program, c.dir, c.cfg.ProxyAddr, c.cfg.Nodes)
	if err != nil {
		return err
	}
	if c.proxy, err = startProcess(proxy.name, c.cfg.Out, nil, program, proxy.run(c.dir, filepath.Clean(file))...); err != nil {
		return err
	}
	return waitForOK(ctx, "http://"+c.cfg.ProxyAddr+"/healthz", c.proxy)
}

// toggle stops a node that is running and starts one that is not.
func (c *cluster) toggle(ctx context.Context, i int) error {
	if c.nodes[i].running() {
		c.nodes[i].stop()
		return nil
	}
	if err := c.startNode(i); err != nil {
		return err
	}
	return waitForOK(ctx, "http://"+c.cfg.Nodes[i]+"/healthz", c.nodes[i])
}

// urls returns the URLs to open in a browser.
func (c *cluster) urls() (urls []string) {
	if c.proxy != nil {
		return []string{"http://" + c.cfg.ProxyAddr}
	}
	for _, addr := range c.cfg.Nodes {
		urls = append(urls, "http://"+addr)
	}
	return urls
}

// Close stops all processes. The nodes stop first, while the proxy can still carry their
// disconnect packets, and Redis stops last.
func (c *cluster) Close() {
	var stopping sync.WaitGroup
	for _, node := range c.nodes {
		if node != nil {
			stopping.Go(node.stop)
		}
	}
	stopping.Wait()
	for _, p := range []*process{c.proxy, c.redis} {
		if p != nil {
			p.stop()
		}
	}
	_ = os.RemoveAll(c.dir)
}

// waitForOK waits until a GET of url returns status 200.
func waitForOK(ctx context.Context, url string, p *process) error {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	return retry(ctx, p, func() error {
		res, err := client.Get(url)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	})
}

// retry calls try until it succeeds. It gives up after 60 seconds or when p exits.
func retry(ctx context.Context, p *process, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s exited: %w", p.name, p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", p.name, err)
		case <-tick.C:
		}
	}
}

// makeDir creates a temporary folder that all users can read. If root starts nginx, its
// workers run as another user.
func makeDir() (string, error) {
	dir, err := os.MkdirTemp("", "chat-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// checkFree returns an error if another program listens on addr. That program would answer
// the health check instead of the process that is started there.
func checkFree(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s is in use; stop the program that listens there first: %w", addr, err)
	}
	return ln.Close()
}

// findFreeAddr returns a local address on which no program listens.
func findFreeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
