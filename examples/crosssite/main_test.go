package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// TestThreeOrigins opens the page at each of its three origins in Chromium.
func TestThreeOrigins(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	browser := n.Browser(t)
	var lns [2]net.Listener
	for i := range lns {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		lns[i] = ln
	}
	_, port, _ := net.SplitHostPort(lns[1].Addr().String())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, lns[0], lns[1]) }() // received in the cleanup
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	for _, tt := range []struct {
		host, byCookie, byTicket string
	}{
		{"127.0.0.1", "connected as ", "connected as "},
		{"localhost", "connected without your session", "connected as "},
		{"stranger.localhost", "rejected", "rejected"},
	} {
		page := browser.Open("http://" + net.JoinHostPort(tt.host, port))
		me := page.Text("#visitor")
		for way, want := range map[string]string{"#polling": tt.byCookie, "#websocket": tt.byCookie, "#ticket": tt.byTicket} {
			if want == "connected as " {
				want += me
			}
			page.WaitText(way, want)
		}
		page.Click("#again") // enabled once all three attempts have finished
		page.WaitText("#ticket", tt.byTicket)
		if got := page.Text("[aria-current] code"); got != tt.host {
			t.Errorf("at %s the page marks %s as the current origin", tt.host, got)
		}
		if dir := os.Getenv("SCREENSHOTS"); dir != "" {
			page.WaitText("#again:enabled", "")
			page.Screenshot(filepath.Join(dir, "crosssite-"+tt.host+".png"))
		}
		page.Close()
	}

	phone := browser.NewContext(map[string]any{"viewport": map[string]int{"width": 360, "height": 740}, "colorScheme": "dark"})
	page := phone.Open("http://localhost:" + port)
	page.WaitText("#ticket", "connected as")
	var wide bool
	page.Eval(`return document.documentElement.scrollWidth > innerWidth`, nil, &wide)
	if wide {
		t.Error("the page is wider than a phone's screen")
	}
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		page.Screenshot(filepath.Join(dir, "crosssite-phone.png"))
	}
}
