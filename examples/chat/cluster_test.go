package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// A program that already listens on an address is not mistaken for the process to start.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	needProxy(t, "haproxy")
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(other.Close)
	inUse := other.Listener.Addr().String()
	for name, occupy := range map[string]func(cfg *clusterConfig){
		"the proxy's": func(cfg *clusterConfig) { cfg.ProxyAddr = inUse },
		"a node's":    func(cfg *clusterConfig) { cfg.Nodes[0] = inUse },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := newConfig(t, "haproxy", redistest.Start(t).URL(), 1)
			occupy(&cfg)
			c, err := startCluster(t.Context(), cfg)
			if err == nil {
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), inUse+" is in use") {
				t.Errorf("error %v, want one that says %s is in use", err, inUse)
			}
		})
	}
}

// TestOneCommand runs `go run ./examples/chat` with a terminal in which a user stops a node
// and starts it again.
func TestOneCommand(t *testing.T) {
	t.Parallel()
	needProxy(t, "haproxy")
	cfg := newConfig(t, "haproxy", redistest.Start(t).URL(), 2)
	ctx, stop := context.WithCancel(t.Context())
	terminal, typed := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- runCluster(ctx, cfg, terminal) }() // received below
	waitFor := func(failure string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(failure)
			}
		}
	}
	answers := func(addr string) bool {
		res, err := http.Get("http://" + addr + "/healthz")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	}
	waitFor("the site does not answer", func() bool { return answers(cfg.ProxyAddr) })
	fmt.Fprintln(typed, "nonsense")
	fmt.Fprintln(typed, "2")
	waitFor("node 2 was not stopped", func() bool { return !answers(cfg.Nodes[1]) })
	if !answers(cfg.Nodes[0]) || !answers(cfg.ProxyAddr) {
		t.Error("the other node or the proxy has stopped too")
	}
	fmt.Fprintln(typed, " 2 ")
	waitFor("node 2 was not started again", func() bool { return answers(cfg.Nodes[1]) })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, addr := range append(cfg.Nodes, cfg.ProxyAddr) {
		if answers(addr) {
			t.Errorf("%s still answers after runCluster has returned", addr)
		}
	}
	_ = typed.Close()
}
