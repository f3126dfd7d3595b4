// Package servertest serves a server over HTTP, for tests that need no more of an app.
package servertest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Serve serves io on a port of loopback, and returns the URL. At the end of the test it shuts io
// down, and waits for the app.
func Serve(t testing.TB, io *socketbridge.Server) (url string) {
	t.Helper()
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute})
	app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond // the worker pool's goroutine outlives the app by this time
	io.LimitBodies(app)
	app.Use(io.Handler())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = app.Listener(ln); close(ended) }()
	t.Cleanup(func() {
		if err := errors.Join(io.Shutdown(context.Background()), app.ShutdownWithTimeout(90*time.Second)); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return "http://" + ln.Addr().String()
}
