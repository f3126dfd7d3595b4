// Chat: rooms, who is in them, the last words of each, typing notices and private
// messages, on three nodes behind a proxy. See README.md, and docs/proxies.md.
//
//	go run ./examples/chat                                                       # all of it, on http://127.0.0.1:3000
//	STORAGE=redis://127.0.0.1:6379 PORT=3001 go run ./examples/chat -node        # one node
//	go run ./examples/chat -node                                                 # one node, in memory, alone
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
	"syscall"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis" // so that STORAGE may name a Redis
)

func main() {
	alone := flag.Bool("node", false, "run one node, as the environment says, and nothing else")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *alone {
		err = runNode(ctx, nodeFromEnv())
	} else {
		err = runAll(ctx, setupFromEnv(), os.Stdin)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// nodeConfig is what the environment says of one node.
type nodeConfig struct {
	Name    string // NODE, by which people see where they are
	Addr    string // HOST and PORT, where to listen
	Storage string // STORAGE: memory:// for one node alone, redis://… for several

	// Proxy is PROXY: the address of the proxy in front, whose X-Forwarded-… headers
	// are believed. Nobody else's are.
	Proxy string

	// Insecure is INSECURE=1: plain http to another machine than this one, so that a
	// phone in the same network can be tried. Anyone on the way can read it.
	Insecure bool
}

func nodeFromEnv() nodeConfig {
	port := env("PORT", "3000")
	return nodeConfig{
		Name:     env("NODE", "port "+port),
		Addr:     net.JoinHostPort(env("HOST", "127.0.0.1"), port),
		Storage:  env("STORAGE", "memory://"),
		Proxy:    env("PROXY", ""),
		Insecure: env("INSECURE", "") == "1",
	}
}

// runNode serves until ctx ends.
func runNode(ctx context.Context, cfg nodeConfig) error {
	log.SetPrefix(cfg.Name + " | ")
	store, err := storage.Open(cfg.Storage)
	if err != nil {
		return err
	}
	defer store.Close()
	s, err := newSite(cfg, store)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return errors.Join(err, s.Shutdown(ctx))
	}
	log.Printf("listens on http://%s", ln.Addr())
	served := make(chan error, 1)
	go func() { served <- s.app.Listener(ln) }() // received below
	select {
	case err = <-served:
	case <-ctx.Done():
		log.Print("is stopping")
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
