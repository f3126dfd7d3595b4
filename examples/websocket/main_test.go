package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofiber/contrib/socketio"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
	"github.com/fiberbridge/fiberbridge/storage"
)

func TestMain(m *testing.M) {
	socketio.On(socketio.EventMessage, contribws.Guard(onMessage)) // as in main
	os.Exit(m.Run())
}

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

// TestE4_NativeWebSocketInTheBrowser drives the page in Chromium with the browser's
// own WebSocket: two tabs of one session, and another browser context.
func TestE4_NativeWebSocketInTheBrowser(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"memory", "redis"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			url := "memory://"
			if store == "redis" {
				url = redistest.Start(t).URL()
			}
			site := start(t, url)
			browser := nodetest.Start(t).Browser(t)
			one, two := browser.Open(site), browser.Open(site)
			other := browser.NewContext(nil).Open(site)
			for _, tab := range []*nodetest.Page{one, two, other} {
				tab.WaitText("#state", "connected")
			}

			one.Fill("#text", "too early")
			one.Click("#say")
			one.WaitText("#wall", "Enter your name first.")

			one.Fill("#name", "Ann") // sent over HTTP; the sockets of both tabs receive it
			one.Click("#enter")
			one.WaitText("#you", "Ann")
			two.WaitText("#you", "Ann")

			two.Fill("#text", "Hello, wall")
			two.Click("#say")
			for _, tab := range []*nodetest.Page{one, two, other} {
				tab.WaitText("#wall", "Ann")
				tab.WaitText("#wall", "Hello, wall")
				tab.WaitText("#wall", "message 1")
			}

			one.Fill("#text", "anybody there?") // answered by the contrib/socketio listener
			one.Click("#raw")
			one.WaitText("#wall", "Received 14 bytes from Ann.")

			other.Fill("#text", "and me")
			other.Click("#raw")
			other.WaitText("#wall", "Received 6 bytes from an unnamed visitor.")

			if dir := os.Getenv("SCREENSHOTS"); dir != "" {
				one.Screenshot(filepath.Join(dir, "websocket-"+store+".png"))
			}

			one.Click("#leave") // both tabs get a new session; the other browser keeps its own
			for _, tab := range []*nodetest.Page{one, two} {
				tab.WaitText("#wall", "No messages yet")
				tab.WaitText("#state", "connected")
				if n := tab.Count("#known:not([hidden])"); n != 0 {
					t.Error("the page still shows the name")
				}
			}
			other.WaitText("#wall", "Hello, wall")
			for _, tab := range []*nodetest.Page{one, two, other} {
				if n := tab.Waiting("error"); n > 0 {
					t.Errorf("the page logged %d errors, first: %s", n, tab.MustNext("error"))
				}
			}
		})
	}
}
