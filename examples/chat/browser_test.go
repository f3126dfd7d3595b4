package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// TestChatOverThreeNodes runs two users in Chromium on two different nodes, behind nginx and with
// MATRIX behind HAProxy too, and kills the node of one of them. The other tests of the proxies run
// behind both.
func TestChatOverThreeNodes(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	n.Browser(t) // start it once for both subtests
	for _, proxy := range []string{"nginx", "haproxy"} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			if proxy != "nginx" && os.Getenv("MATRIX") == "" {
				t.Skip("another proxy: make interop runs it")
			}
			needProxy(t, proxy)
			browser := n.Browser(t)
			c := start(t, proxy, redistest.Start(t).URL(), 3)
			site := c.urls()[0]

			// Ada uses polling. Bob uses a WebSocket and is on another node.
			adaVisitor := newVisitor(t, site)
			adas := adaVisitor.logIn("Ada")
			ada := adaVisitor.window(browser).Open(site + "/?transport=polling")
			ada.WaitText("#state.on", adas+" · polling")
			bob, bobs := openChat(site, visitorOnOtherNode(t, site, adas).window(browser), "Bob")
			if bobs == adas {
				t.Fatalf("a visitor on another node than %s is connected to that node", bobs)
			}
			bob.WaitText("#state", "websocket")
			for _, page := range []*nodetest.Page{ada, bob} {
				page.WaitText("#people [data-user=ada] .nodes", adas)
				page.WaitText("#people [data-user=bob] .nodes", bobs)
			}

			// Messages and typing notices reach the other node.
			post(ada, "Hello from "+adas)
			bob.WaitText("#messages", "Hello from "+adas)
			bob.Fill("#text", "Hel")
			// Keep typing: a notice is volatile and is dropped while its receiver is busy.
			bob.Eval(`window.typingTimer = setInterval(() => document.querySelector("#text").dispatchEvent(new Event("input", { bubbles: true })), 500)`, nil, nil)
			ada.WaitText("#typing", "Bob is typing")
			bob.Eval(`clearInterval(window.typingTimer)`, nil, nil)
			post(bob, "Hello from "+bobs)
			ada.WaitText("#messages", "Hello from "+bobs)
			var sent bool // a typing notice for the next message, right after the last one
			bob.Eval(`window.sent = []; const { send } = WebSocket.prototype;
				WebSocket.prototype.send = function (data) { window.sent.push(data); return send.call(this, data); }`, nil, nil)
			bob.Fill("#text", "And")
			if bob.Eval(`return window.sent.some((data) => data.startsWith('42["typing"'))`, nil, &sent); !sent {
				t.Error("typing after a message sends no notice")
			}

			// Ada creates a room. Bob finds it in the directory and sees its earlier messages.
			ada.Fill("#room", "gardens")
			ada.Click("#join button:enabled")
			ada.WaitText("#title", "gardens")
			post(ada, "Roses are in bloom")
			bob.WaitText("#others", "gardens")
			bob.Click("#others button:enabled")
			bob.WaitText("#title", "gardens")
			bob.WaitText("#messages", "Roses are in bloom")
			ada.WaitText("#people [data-user=bob] .nodes", bobs)

			// A private message reaches Ada on her node.
			bob.Click("#people [data-user=ada] button:enabled")
			bob.WaitText("#title", "Ada")
			post(bob, "Between us")
			ada.WaitText("#talks", "Bob")
			ada.Click("#talks button")
			ada.WaitText("#messages", "Between us")
			ada.Click("#rooms li:last-child button")
			ada.WaitText("#title", "gardens")

			// The official client works with each transport.
			eve := newVisitor(t, site)
			eves := eve.logIn("Eve")
			for _, transports := range [][]string{{"polling"}, {"websocket"}, nil} {
				client := n.Connect(t, site, nodetest.Options{Cookie: eve.cookie(), Transports: transports})
				var hello struct{ Node string }
				if client.MustNext("hello").Bind(t, &hello); hello.Node != eves {
					t.Errorf("%v: connected to %s, but the page was served by %s", transports, hello.Node, eves)
				}
				for range 5 {
					client.MustCall("list")
				}
				client.Close()
			}

			// Ada's node crashes. Her page continues on another one, with the same session.
			c.nodes[adas[1]-'1'].kill()
			ada.WaitText("#state:not([data-node="+adas+"]).on", "polling")
			ada.WaitText("#title", "gardens")
			ada.WaitText("#messages", "Roses are in bloom")
			post(ada, "Still here")
			bob.Click("#rooms li:last-child button")
			bob.WaitText("#messages", "Still here")
			bob.WaitText("#people [data-user=ada] .nodes", nodeOf(ada))

			if dir := os.Getenv("SCREENSHOTS"); dir != "" {
				screenshots(t, dir, proxy, site, browser, ada)
			}

			// Bob logs out everywhere from another device.
			phone, _ := openChat(site, browser.NewContext(map[string]any{"viewport": map[string]int{"width": 360, "height": 740}}), "bob")
			var wide bool
			if phone.Eval(`return document.documentElement.scrollWidth > innerWidth`, nil, &wide); wide {
				t.Error("the page is wider than a phone's screen")
			}
			phone.Click("#open-side")
			phone.Click("#everywhere")
			phone.WaitText(".note", "logged out everywhere")
			bob.WaitText(".note", "logged out")
			ada.WaitText("#people:not(:has([data-user=bob]))", "Ada")
			// The browser itself logs requests that failed while the node crashed or the session ended.
			failedRequest := `Failed to load resource`
			for _, page := range []*nodetest.Page{ada, bob} {
				for page.Waiting("error") > 0 {
					if text := page.MustNext("error"); !strings.Contains(text, failedRequest) && !strings.Contains(text, "WebSocket connection") {
						t.Errorf("a page logged the error %q", text)
					}
				}
			}
		})
	}
}

// screenshots saves screenshots of the pages: desktop and phone, light and dark.
func screenshots(t *testing.T, dir, proxy, site string, browser *nodetest.Browser, ada *nodetest.Page) {
	ada.Fill("#text", "")
	ada.Screenshot(filepath.Join(dir, "chat-"+proxy+".png"))
	for _, look := range []struct {
		name   string
		width  int
		scheme string
	}{{"desktop", 1280, "light"}, {"desktop", 1280, "dark"}, {"phone", 360, "light"}, {"phone", 360, "dark"}} {
		context := browser.NewContext(map[string]any{"viewport": map[string]int{"width": look.width, "height": 740}, "colorScheme": look.scheme})
		file := filepath.Join(dir, "chat-"+proxy+"-"+look.name+"-"+look.scheme)
		login := context.Open(site + "/login")
		login.Screenshot(file + "-login.png")
		page, _ := openChat(site, context, "Cleo Lind")
		page.WaitText("#messages", "Hello")
		if look.name == "desktop" {
			page.WaitText("#people", "Bob")
		}
		post(page, "A longer message that shows how the page wraps text that does not fit into one line.\nAnd a second line.")
		page.Screenshot(file + ".png")
		if look.name == "phone" {
			page.Click("#open-side")
			page.WaitText("#side", "lobby")
			page.Eval(`await new Promise((r) => setTimeout(r, 400))`, nil, nil)
			page.Screenshot(file + "-side.png")
		}
		context.Close()
	}
}
