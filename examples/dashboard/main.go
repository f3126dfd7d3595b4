// Dashboard: people sign up, become friends, and hear at once what their friends
// say, who of them is there, and which of their own devices is signed in. Every
// promise of a shared session is on one page: see README.md.
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
	_ "github.com/fiberbridge/fiberbridge/storage/redis" // so that STORAGE may name a Redis
)

func main() {
	if err := run(fromEnv()); err != nil {
		log.Fatal(err)
	}
}

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
	site, err := newSite(cfg, store, db)
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan struct{})
	go func() { // run waits for it
		defer close(ended)
		<-ctx.Done()
		timeout, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := site.Shutdown(timeout); err != nil {
			log.Print(err)
		}
	}()
	log.Printf("open http://%s", cfg.Addr)
	err = site.app.Listen(cfg.Addr)
	stop()
	<-ended
	return err
}
