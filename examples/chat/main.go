// Chat has rooms with member lists, message history, typing notices and private messages.
// It runs on three nodes behind a proxy. See README.md and docs/proxies.md.
//
//	go run ./examples/chat                                                  # three nodes, a proxy and a Redis
//	STORAGE=redis://127.0.0.1:6379 PORT=3001 go run ./examples/chat -node   # one node of several
//	go run ./examples/chat -node                                            # a single node, in memory
//	PORT=4000 go run ./examples/chat                                        # other ports: 4000 to 4003
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis" // lets STORAGE be a redis:// URL
)

func main() {
	node := flag.Bool("node", false, "run a single node, configured by the environment")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *node {
		err = runNode(ctx, nodeConfigFromEnv())
	} else {
		log.SetOutput(os.Stdout) // where to click; what the nodes log goes to stderr
		cfg := clusterConfigFromEnv()
		if err = choosePorts(&cfg, os.Getenv("PORT")); err == nil {
			err = runCluster(ctx, cfg, os.Stdin)
		}
		log.SetOutput(os.Stderr)
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w; or choose other ports: PORT=4000 uses 4000, and 4001 to 4003 for the nodes", err)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
}

// choosePorts moves the cluster to the given port, which is the proxy's, and to those that
// follow it. With "", the ports stay as they are.
func choosePorts(cfg *clusterConfig, port string) error {
	if port == "" {
		return nil
	}
	first, err := strconv.ParseUint(port, 10, 16)
	if err != nil || first == 0 || int(first)+len(cfg.Nodes) > 65535 {
		return fmt.Errorf("PORT=%s: not a port with %d more after it", port, len(cfg.Nodes))
	}
	addr := func(i int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(first)+i)) }
	nodes := make([]string, len(cfg.Nodes))
	for i := range nodes {
		nodes[i] = addr(i + 1)
	}
	cfg.ProxyAddr, cfg.Nodes = addr(0), nodes
	return nil
}

// nodeConfig is the configuration of one node from the environment.
type nodeConfig struct {
	Name    string // NODE: the label by which the page shows its node
	Addr    string // HOST and PORT: the address to listen on
	Storage string // STORAGE: memory:// for a single node, redis://… for several

	// Proxy is PROXY: the address of the reverse proxy whose X-Forwarded-… headers are
	// trusted. Such headers from other addresses are ignored.
	Proxy string
}

func nodeConfigFromEnv() nodeConfig {
	port := env("PORT", "3000")
	return nodeConfig{
		Name:    env("NODE", "n"+port),
		Addr:    net.JoinHostPort(env("HOST", "127.0.0.1"), port),
		Storage: env("STORAGE", "memory://"),
		Proxy:   env("PROXY", ""),
	}
}

// runNode runs one node until ctx is canceled.
func runNode(ctx context.Context, cfg nodeConfig) error {
	log.SetPrefix(cfg.Name + " | ")
	store, err := storage.Open(cfg.Storage)
	if err != nil {
		return err
	}
	defer store.Close()
	s, err := newServer(cfg, store)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		err = fmt.Errorf("cannot listen at %s: if another program uses this port, stop it, or choose another port with PORT: %w", cfg.Addr, err)
		return errors.Join(err, s.Shutdown(ctx))
	}
	log.Printf("listening on http://%s", ln.Addr())
	served := make(chan error, 1)
	go func() { served <- s.app.Listener(ln) }() // received below
	select {
	case err = <-served:
	case <-ctx.Done():
		log.Print("stopping")
	}
	timeout, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if stopErr := s.Shutdown(timeout); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("shutting down: %w", stopErr))
	}
	return err
}

func env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
