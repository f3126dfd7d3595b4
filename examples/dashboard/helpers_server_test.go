package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// start runs the program on a free port with a database in memory until the test ends,
// and returns its URL. The setup functions may add routes and events.
func start(t *testing.T, storageURL string, setup ...func(*server)) string {
	t.Helper()
	ln := listen(t)
	t.Cleanup(serve(t, ln, storageURL, ":memory:", setup...))
	return "http://" + ln.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve runs the program until stop is called.
func serve(t *testing.T, ln net.Listener, storageURL, database string, setup ...func(*server)) (stop func()) {
	t.Helper()
	store, err := storage.Open(storageURL)
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDB(database)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(Config{}, store, db)
	if err != nil {
		t.Fatal(err)
	}
	for _, add := range setup {
		add(s)
	}
	served := make(chan error, 1)
	go func() { served <- s.app.Listener(ln) }() // received by stop
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for _, err := range []error{s.Shutdown(ctx), <-served, db.Close(), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	}
}

const password = "correct horse battery"
