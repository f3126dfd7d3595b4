// Dashboard is a small social site: people sign up, become friends, and see at once what
// their friends post, which friends are online, and where they themselves are logged in.
// See README.md.
//
//	go run .                                   # sessions in memory, users in dashboard.db
//	STORAGE=redis://127.0.0.1:6379 go run .    # sessions in Redis
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis" // lets STORAGE be a redis:// URL
)

func main() {
	if err := run(configFromEnv()); err != nil {
		log.Fatal(err)
	}
}

// run opens the storage and the database and serves until Ctrl-C.
func run(cfg Config) error {
	store, err := storage.Open(cfg.Storage)
	if err != nil {
		return err
	}
	defer store.Close()
	db, err := openDB(cfg.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := newServer(cfg, store, db)
	if err != nil {
		return err
	}
	ln, err := listenAt(cfg.Addr)
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan struct{})
	go func() { // run waits for it below
		defer close(ended)
		<-ctx.Done()
		timeout, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(timeout); err != nil {
			log.Print(err)
		}
		_ = ln.Close() // ends Listener also if it has not begun
	}()
	fmt.Printf("Open http://%s and sign up; a private window can be a second user\n", ln.Addr())
	err = s.app.Listener(ln)
	stop()
	<-ended
	return err
}

// listenAt listens at addr. If another program uses the port, the error says what to do.
func listenAt(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: if another program uses this port, stop it, or choose another port, such as %s: %w", addr, "ADDR=127.0.0.1:4000", err)
	}
	return ln, nil
}
