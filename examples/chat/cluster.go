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

	"github.com/fiberbridge/fiberbridge/storage"
)

// setup is what is to be started.
type setup struct {
	Storage string   // STORAGE; "": a Redis of our own, or without one memory
	Proxy   string   // PROXY: "nginx", "haproxy", "none"; "": the first that is installed
	Front   string   // where the proxy listens
	Nodes   []string // where the nodes listen
	Out     io.Writer
}

func setupFromEnv() setup {
	return setup{Storage: env("STORAGE", ""), Proxy: env("PROXY", ""), Front: confFront, Nodes: confNodes, Out: os.Stderr}
}

// runAll starts everything and keeps it until ctx ends. A line with a number on in
// stops that node, or starts it again.
func runAll(ctx context.Context, cfg setup, in io.Reader) error {
	a, err := startAll(ctx, cfg)
	if err != nil {
		return err
	}
	defer a.Close()
	log.Printf("open %s", strings.Join(a.urls(), " or "))
	if len(a.nodes) > 1 {
		log.Printf("type 1 to %d and Enter to stop that node, and again to start it; Ctrl-C ends all", len(a.nodes))
	}
	lines := make(chan string)
	go func() { // ends with the program: a read of the terminal cannot be stopped
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
			if err != nil || n < 1 || n > len(a.nodes) {
				continue
			}
			if err := a.toggle(ctx, n-1); err != nil && ctx.Err() == nil {
				log.Print(err)
			}
		}
	}
}

// all is what runs: a Redis if it is ours, the nodes, and the proxy if there is one.
type all struct {
	cfg     setup
	dir     string // of the Redis and the proxy
	program string // of the nodes: this one
	redis   *process
	nodes   []*process
	proxy   *process
}

// startAll returns when all answer.
func startAll(ctx context.Context, cfg setup) (a *all, err error) {
	a = &all{cfg: cfg}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if a.program, err = os.Executable(); err != nil {
		return a, err
	}
	if a.dir, err = makeDir(); err != nil {
		return a, err
	}
	if err = a.startStorage(ctx); err != nil {
		return a, err
	}
	if strings.HasPrefix(a.cfg.Storage, "memory:") {
		log.Print("sessions and rooms are in memory, which nodes cannot share: starting one")
		a.cfg.Nodes = a.cfg.Nodes[:1]
		a.cfg.Proxy = "none"
	}
	a.nodes = make([]*process, len(a.cfg.Nodes))
	for i := range a.nodes {
		if err = a.startNode(i); err != nil {
			return a, err
		}
	}
	for i, node := range a.nodes {
		if err = answers(ctx, "http://"+a.cfg.Nodes[i]+"/healthz", node); err != nil {
			return a, err
		}
	}
	return a, a.startProxy(ctx)
}

func (a *all) startStorage(ctx context.Context) error {
	if a.cfg.Storage != "" {
		return nil
	}
	program := findProgram("redis-server")
	if program == "" {
		log.Print("redis-server is not installed (apt-get install redis-server), and STORAGE names no other Redis")
		a.cfg.Storage = "memory://"
		return nil
	}
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(addr)
	a.redis, err = spawn("redis", a.cfg.Out, nil, program, "--bind", host, "--port", port, "--dir", a.dir,
		"--save", "", "--appendonly", "no", "--loglevel", "warning")
	if err != nil {
		return err
	}
	a.cfg.Storage = "redis://" + addr
	return within(ctx, a.redis, func() error {
		store, err := storage.Open(a.cfg.Storage)
		if err != nil {
			return err
		}
		return store.Close()
	})
}

func (a *all) startNode(i int) (err error) {
	if err := isFree(a.cfg.Nodes[i]); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(a.cfg.Nodes[i])
	if err != nil {
		return err
	}
	env := []string{"HOST=" + host, "PORT=" + port, "STORAGE=" + a.cfg.Storage, fmt.Sprintf("NODE=n%d", i+1), "PROXY="}
	if a.cfg.Proxy != "none" {
		env[4] += "127.0.0.1"
	}
	a.nodes[i], err = spawn(fmt.Sprintf("node %d", i+1), a.cfg.Out, env, a.program, "-node")
	return err
}

func (a *all) startProxy(ctx context.Context) error {
	if a.cfg.Proxy == "none" {
		return nil
	}
	proxy, program := findProxy(a.cfg.Proxy)
	if program == "" {
		if a.cfg.Proxy != "" {
			return fmt.Errorf("%s is not installed (or not known: nginx, haproxy, none)", a.cfg.Proxy)
		}
		log.Print("no proxy is installed (apt-get install nginx-light, or haproxy): each node is on its own address")
		return nil
	}
	return a.runProxy(ctx, proxy, program)
}

func (a *all) runProxy(ctx context.Context, proxy proxyProgram, program string) error {
	if err := isFree(a.cfg.Front); err != nil {
		return err
	}
	file, err := proxy.prepare(program, a.dir, a.cfg.Front, a.cfg.Nodes)
	if err != nil {
		return err
	}
	if a.proxy, err = spawn(proxy.name, a.cfg.Out, nil, program, proxy.run(a.dir, filepath.Clean(file))...); err != nil {
		return err
	}
	return answers(ctx, "http://"+a.cfg.Front+"/healthz", a.proxy)
}

// toggle stops a node, or starts it again.
func (a *all) toggle(ctx context.Context, i int) error {
	if a.nodes[i].running() {
		a.nodes[i].stop()
		return nil
	}
	if err := a.startNode(i); err != nil {
		return err
	}
	return answers(ctx, "http://"+a.cfg.Nodes[i]+"/healthz", a.nodes[i])
}

// urls are where to go with a browser.
func (a *all) urls() (urls []string) {
	if a.proxy != nil {
		return []string{"http://" + a.cfg.Front}
	}
	for _, addr := range a.cfg.Nodes {
		urls = append(urls, "http://"+addr)
	}
	return urls
}

// Close ends all: the nodes while the proxy still carries their goodbyes, the Redis last.
func (a *all) Close() {
	var ending sync.WaitGroup
	for _, node := range a.nodes {
		if node != nil {
			ending.Go(node.stop)
		}
	}
	ending.Wait()
	for _, p := range []*process{a.proxy, a.redis} {
		if p != nil {
			p.stop()
		}
	}
	_ = os.RemoveAll(a.dir)
}

// answers waits until a GET of url is answered with 200.
func answers(ctx context.Context, url string, p *process) error {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	return within(ctx, p, func() error {
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

// within tries until it succeeds; 60 seconds at most, and not after p has ended.
func within(ctx context.Context, p *process, try func() error) error {
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
			return fmt.Errorf("%s has ended: %w", p.name, p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", p.name, err)
		case <-tick.C:
		}
	}
}

// makeDir makes a folder that others can read too: started by root, nginx works as
// somebody else.
func makeDir() (string, error) {
	dir, err := os.MkdirTemp("", "chat-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// isFree returns an error when somebody listens on an address already: they would
// answer in the place of what is started there.
func isFree(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s is in use, end what listens there first: %w", addr, err)
	}
	return ln.Close()
}

// freeAddr returns an address of this machine that nobody listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
