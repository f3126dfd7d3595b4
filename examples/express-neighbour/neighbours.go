package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// neighbours are what Fiber needs besides itself: a Redis and the Express app. An app that
// uses fiberbridge has them already; this file only makes the example one command.
type neighbours struct {
	redis   string // REDIS_URL, or the URL of the redis-server that was started
	express string // EXPRESS_URL, or the URL of the server.js that was started
	started []*exec.Cmd
	dir     string // the folder of the redis-server that was started
}

// startNeighbours starts what the environment does not name.
func startNeighbours(ctx context.Context, secrets string) (n *neighbours, err error) {
	n = &neighbours{redis: os.Getenv("REDIS_URL"), express: os.Getenv("EXPRESS_URL")}
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
	if n.redis == "" {
		if err := n.startRedis(ctx); err != nil {
			return n, err
		}
	}
	if n.express == "" {
		return n, n.startExpress(ctx, secrets)
	}
	return n, nil
}

// startRedis starts a redis-server that stores nothing on disk, and waits until it answers.
func (n *neighbours) startRedis(ctx context.Context) error {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is not installed; install it, or set REDIS_URL to the URL of a running Redis")
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	if n.dir, err = os.MkdirTemp("", "express-neighbour-"); err != nil {
		return err
	}
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", n.dir, "--save", "", "--loglevel", "warning")
	if err := n.start(cmd); err != nil {
		return err
	}
	n.redis = "redis://127.0.0.1:" + port + "/0"
	deadline := time.Now().Add(20 * time.Second)
	for {
		store, err := storage.Open(n.redis)
		if err == nil {
			return store.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// startExpress runs server.js on a free port. The first time, npm installs its packages.
func (n *neighbours) startExpress(ctx context.Context, secrets string) error {
	dir := "."
	if _, err := os.Stat("server.js"); err != nil {
		dir = filepath.Join("examples", "express-neighbour") // started at the top of the repository
	}
	if _, err := os.Stat(filepath.Join(dir, "server.js")); err != nil {
		return errors.New("server.js is not here: run the example in a clone of the repository")
	}
	_, err := os.Stat(filepath.Join(dir, "node_modules"))
	if err != nil && os.Getenv("NODE_PATH") == "" {
		log.Print("installing the packages of server.js with npm")
		install := exec.CommandContext(ctx, "npm", "ci", "--no-progress")
		install.Dir, install.Stdout, install.Stderr = dir, os.Stderr, os.Stderr
		if err := install.Run(); err != nil {
			return fmt.Errorf("npm ci failed (Node.js 20 or newer has npm): %w", err)
		}
	}
	cmd := exec.Command("node", "server.js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PORT=0", "REDIS_URL="+n.redis, "SESSION_SECRETS="+secrets)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := n.start(cmd); err != nil {
		return err
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), " on ")
	if !ok {
		return errors.New("server.js did not start; the lines above say why")
	}
	n.express = url
	return nil
}

// start starts a program, which stop ends.
func (n *neighbours) start(cmd *exec.Cmd) error {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	n.started = append(n.started, cmd)
	return nil
}

// stop ends what was started, the last one first, and waits for it.
func (n *neighbours) stop() {
	for len(n.started) > 0 {
		last := len(n.started) - 1
		_ = n.started[last].Process.Signal(syscall.SIGTERM) // fails if it has ended already
		_ = n.started[last].Wait()
		n.started = n.started[:last]
	}
	if n.dir != "" {
		_ = os.RemoveAll(n.dir)
	}
}

// freePort returns a port on which no program listens.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, errors.Join(err, ln.Close())
}
