package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// TestMain runs the program itself when startCluster starts this executable as a node.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "-node" {
		main()
		return
	}
	os.Exit(nodetest.Share(m).Run())
}

// testWriter logs the output of child processes.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// newConfig returns the configuration of a cluster on free ports.
func newConfig(t *testing.T, proxy, storage string, nodes int) clusterConfig {
	t.Helper()
	cfg := clusterConfig{Storage: storage, Proxy: proxy, ProxyAddr: reserveAddr(t), Out: testWriter{t}}
	for range nodes {
		cfg.Nodes = append(cfg.Nodes, reserveAddr(t))
	}
	return cfg
}

// reserveAddr returns an address that no other test gets, even while nothing listens on it.
func reserveAddr(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", redistest.FreePort(t))
}

// start starts a cluster on free ports, as `go run ./examples/chat` does.
func start(t *testing.T, proxy, storage string, nodes int) *cluster {
	t.Helper()
	c, err := startCluster(context.Background(), newConfig(t, proxy, storage, nodes))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// needProxy skips the test if the proxy is not installed, or fails it if CI is set.
func needProxy(t *testing.T, name string) {
	t.Helper()
	if _, path := findProxy(name); path == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing, and CI is set: .ci/deps installs it", name)
		}
		t.Skipf("%s is missing", name)
	}
}
