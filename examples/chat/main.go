// Chat has rooms with member lists, message history, typing notices and private messages.
// It runs on three nodes behind a proxy. See README.md and docs/proxies.md.
//
//	go run ./examples/chat                                                  # three nodes, a proxy and a Redis
//	STORAGE=redis://127.0.0.1:6379 PORT=3001 go run ./examples/chat -node   # one node of several
//	go run ./examples/chat -node                                            # a single node, in memory
//	PORT=4000 go run ./examples/chat                                        # other ports: 4000 to 4003
//	go run ./examples/chat -rolling-restart 100                             # restarts the nodes in turn under load
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
	"strings"
	"syscall"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis" // lets STORAGE be a redis:// URL
)

func main() {
	node := flag.Bool("node", false, "run a single node, configured by the environment")
	visitors := flag.Int("rolling-restart", 0, "restart the nodes in turn while this `number` of visitors use the site, and print a report")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case *node:
		err = runNode(ctx, nodeConfigFromEnv())
	case *visitors > 0:
		err = runCommand(func(cfg clusterConfig) error { return runRollingRestart(ctx, cfg, *visitors) })
	default:
		err = runCommand(func(cfg clusterConfig) error { return runCluster(ctx, cfg, os.Stdin) })
	}
	if err != nil {
		log.Fatal(err)
	}
}

// runCommand runs the cluster on the ports that PORT chooses.
func runCommand(run func(cfg clusterConfig) error) error {
	log.SetOutput(os.Stdout) // where to click; what the nodes log goes to stderr
	cfg := clusterConfigFromEnv()
	err := choosePorts(&cfg, os.Getenv("PORT"))
	if err == nil {
		err = run(cfg)
	}
	log.SetOutput(os.Stderr)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w; or choose other ports: PORT=4000 uses 4000, and 4001 to 4003 for the nodes", err)
	}
	return err
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

	// StorageTimeout is STORAGE_TIMEOUT: how long each call waits for the storage of the
	// sessions. 0 is the default of fibersession.
	StorageTimeout time.Duration

	// Drain is DRAIN_DELAY and DRAIN_RATE: how a node that is stopped sends its sockets to
	// other nodes.
	Drain socketbridge.Drain

	InspectorPassword string // INSPECTOR_PASSWORD: of the page /inspector; without one there is none
}

// drainFromEnv returns DRAIN_DELAY and DRAIN_RATE. HAProxy checks each node every second, so it
// has noticed after two.
func drainFromEnv(def socketbridge.Drain) socketbridge.Drain {
	if d, err := time.ParseDuration(env("DRAIN_DELAY", "")); err == nil {
		def.Delay = max(0, d)
	}
	if n, err := strconv.Atoi(env("DRAIN_RATE", "")); err == nil {
		def.Rate = max(0, n)
	}
	return def
}

func nodeConfigFromEnv() nodeConfig {
	port := env("PORT", "3000")
	var drain socketbridge.Drain
	if !strings.HasPrefix(env("STORAGE", "memory:"), "memory:") { // there are other nodes
		drain = socketbridge.Drain{Delay: 2 * time.Second, Rate: 20}
	}
	storageTimeout, _ := time.ParseDuration(env("STORAGE_TIMEOUT", "0s"))
	return nodeConfig{
		StorageTimeout: max(0, storageTimeout),

		Drain:   drainFromEnv(drain),
		Name:    env("NODE", "n"+port),
		Addr:    net.JoinHostPort(env("HOST", "127.0.0.1"), port),
		Storage: env("STORAGE", "memory://"),
		Proxy:   env("PROXY", ""),

		InspectorPassword: env("INSPECTOR_PASSWORD", ""),
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
	timeout, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if stopErr := s.Shutdown(timeout); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("shutting down: %w", stopErr))
	}
	return err
}

// shutdownTimeout bounds the shutdown of a node, which takes as long as its drain.
const shutdownTimeout = 30 * time.Second

func env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
