package main

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
)

const secrets = "a secret of this test that is long enough,another one that once signed before it"

// startExpress runs server.js with the npm packages of internal/nodetest and returns its URL.
func startExpress(t *testing.T, redisURL string) string {
	t.Helper()
	cmd := exec.Command("node", "server.js")
	cmd.Env = append(os.Environ(), "PORT=0", "REDIS_URL="+redisURL, "SESSION_SECRETS="+secrets,
		"NODE_PATH="+filepath.Join(nodetest.Dir(t), "node_modules"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), " on ")
	if err != nil || !ok {
		t.Fatalf("server.js printed %q, want its URL: %v", line, err)
	}
	return url
}

// start runs both programs. It returns the URL of the Fiber app and a function that stops it.
func start(t *testing.T) (url string, stop func()) {
	t.Helper()
	redisURL := redistest.Start(t).URL()
	store, err := storage.Open(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	app, io := newApp(store, config{secrets: strings.Split(secrets, ","), express: startExpress(t, redisURL)})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }() // received by stop
	return "http://" + ln.Addr().String(), func() {
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
	}
}

// TestN7_OneLoginInChromium logs in, logs out and counts on both sides, in two tabs.
func TestN7_OneLoginInChromium(t *testing.T) {
	t.Parallel()
	stop := func() {}
	t.Cleanup(func() { stop() }) // runs after the browser, which keeps connections open, has closed
	n := nodetest.Start(t)
	site, stopSite := start(t)
	stop = stopSite
	browser := n.Browser(t)
	one, two := browser.Open(site), browser.Open(site)
	tabs := []*nodetest.Page{one, two}
	waitForAll := func(field, want string) {
		t.Helper()
		for _, tab := range tabs {
			for _, side := range []string{"express", "fiber", "socket"} {
				tab.WaitText("#"+side+"-"+field, want)
			}
		}
	}
	waitForAll("user", "not logged in")
	waitForAll("count", "0")

	one.Click("#express-add")
	waitForAll("count", "1")
	two.Click("#socket-add")
	waitForAll("count", "2")
	two.Click("#fiber-add")
	waitForAll("count", "3")

	one.Fill("#name", "ada")
	one.Click("#express-login")
	waitForAll("user", "ada")
	waitForAll("count", "3")
	one.Click("#socket-add")
	waitForAll("count", "4")
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		one.Screenshot(filepath.Join(dir, "express-neighbour.png"))
	}

	two.Click("#fiber-logout")
	waitForAll("user", "not logged in")
	waitForAll("count", "0")

	two.Fill("#name", "bob")
	two.Click("#fiber-login")
	waitForAll("user", "bob")
	two.Click("#express-add")
	waitForAll("count", "1")
	one.Click("#express-logout")
	waitForAll("user", "not logged in")

	other := browser.NewContext(nil).Open(site)
	other.WaitText("#socket-user", "not logged in")
	for _, tab := range append(tabs, other) {
		if n := tab.Waiting("error"); n > 0 {
			t.Errorf("the page logged %d errors, first: %s", n, tab.MustNext("error"))
		}
	}
}
