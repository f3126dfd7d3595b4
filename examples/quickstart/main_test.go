package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
)

// start runs the program on a free port and returns its URL.
func start(t *testing.T, storageURL string) string {
	t.Helper()
	store, err := storage.Open(storageURL)
	if err != nil {
		t.Fatal(err)
	}
	app, io := newApp(store)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }() // received in the cleanup
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := io.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := app.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

// TestTwoTabs clicks both buttons in two Chromium tabs.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"memory", "redis"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			url := "memory://"
			if store == "redis" {
				url = redistest.Start(t).URL()
			}
			site := start(t, url)
			n := nodetest.Start(t)
			browser := n.Browser(t)
			one, two := browser.Open(site), browser.Open(site)
			for _, tab := range []*nodetest.Page{one, two} {
				tab.WaitText("#state", "connected")
				tab.WaitText("#count", "0")
			}
			one.WaitText("#log", "opened") // logged by the second tab's connection
			one.Click("#http")
			one.WaitText("#count", "1")
			two.WaitText("#count", "1")
			two.WaitText("#log", "counted to 1")
			two.Click("#socket")
			one.WaitText("#count", "2")
			two.WaitText("#count", "2")
			one.WaitText("#log", "counted to 2")

			otherBrowser := browser.NewContext(nil).Open(site)
			otherBrowser.WaitText("#count", "0")

			if dir := os.Getenv("SCREENSHOTS"); dir != "" {
				one.Screenshot(filepath.Join(dir, "quickstart-"+store+".png"))
			}
			two.Close()
			one.WaitText("#log", "closed")
			one.Reload()
			one.WaitText("#count", "2")
			if n := one.Waiting("error"); n > 0 {
				t.Errorf("the page logged %d errors, first: %s", n, one.MustNext("error"))
			}
		})
	}
}
