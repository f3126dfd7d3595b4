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

// startExpress runs server.js, with the packages of the tests, and returns its URL.
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
		t.Fatalf("server.js says %q: %v", line, err)
	}
	return url
}

// start serves both programs and returns the URL of the one in front, and what ends it.
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

// TestN7_OneLoginInChromium logs in and out and counts at both sides, in two tabs.
func TestN7_OneLoginInChromium(t *testing.T) {
	t.Parallel()
	stop := func() {}
	t.Cleanup(func() { stop() }) // after the browser, which keeps connections open, has ended
	n := nodetest.Start(t)
	site, stopSite := start(t)
	stop = stopSite
	browser := n.Browser(t)
	one, two := browser.Open(site), browser.Open(site)
	tabs := []*nodetest.Page{one, two}
	see := func(what string, want string) {
		t.Helper()
		for _, tab := range tabs {
			for _, side := range []string{"express", "fiber", "live"} {
				tab.WaitText("#"+side+"-"+what, want)
			}
		}
	}
	see("user", "nobody")
	see("count", "0")

	one.Click("#express-add")
	see("count", "1")
	two.Click("#live-add")
	see("count", "2")
	two.Click("#fiber-add")
	see("count", "3")

	one.Fill("#name", "ada")
	one.Click("#express-login")
	see("user", "ada")
	see("count", "3")
	one.Click("#live-add")
	see("count", "4")
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		one.Screenshot(filepath.Join(dir, "express-neighbour.png"))
	}

	two.Click("#fiber-logout")
	see("user", "nobody")
	see("count", "0")

	two.Fill("#name", "bob")
	two.Click("#fiber-login")
	see("user", "bob")
	two.Click("#express-add")
	see("count", "1")
	one.Click("#express-logout")
	see("user", "nobody")

	stranger := browser.NewContext(nil).Open(site)
	stranger.WaitText("#live-user", "nobody")
	for _, tab := range append(tabs, stranger) {
		if n := tab.Waiting("error"); n > 0 {
			t.Errorf("the page has %d errors: %s", n, tab.MustNext("error"))
		}
	}
}
