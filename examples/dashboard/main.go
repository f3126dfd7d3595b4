// Dashboard is a small social site: people sign up, become friends, and see at once what
// their friends post, which friends are online, and where they themselves are logged in.
// See README.md.
//
//	go run .                                   # sessions in memory, users in dashboard.db
//	STORAGE=redis://127.0.0.1:6379 go run .    # sessions in Redis
package main

import (
	"context"
	"log"
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
	}()
	log.Printf("open http://%s", cfg.Addr)
	err = s.app.Listen(cfg.Addr)
	stop()
	<-ended
	return err
}
