package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// TestLayout fails if a page is wider than its window. With SCREENSHOTS=/a/folder it also
// saves screenshots of every page: phone and desktop, light and dark.
func TestLayout(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	browser := nodetest.Start(t).Browser(t)
	ada := browser.Open(site)
	signUp(ada, site, "ada", "Ada Lovelace")
	bob := browser.NewContext(nil).Open(site)
	signUp(bob, site, "bob", "Bob Kahn")
	befriend(ada, bob, "ada", "bob")
	say(ada, "The engine weaves algebraic patterns, just as the loom weaves flowers and leaves.")
	bob.WaitText("#comments", "algebraic")
	say(bob, "Lunch at the lake on Saturday? Bring the small boat, and whoever wants to row it.")
	katherine := browser.NewContext(nil).Open(site)
	signUp(katherine, site, "katherine", "Katherine Johnson")
	ask(katherine, "ada")
	phone := browser.NewContext(map[string]any{"userAgent": iPhone}).Open(site)
	logIn(phone, site, "ada")
	phone.WaitText("#signedin", "Linux")
	phone.Click("#logout")
	phone.WaitText("#notice", "logged out")
	logIn(phone, site, "ada")
	ask(ada, "katherine_g") // does not exist
	ada.WaitText(".toast", "There is no user with that name")

	dir := os.Getenv("SCREENSHOTS")
	widths, schemes := map[string]int{"small": 320, "phone": 390, "desktop": 1280}, []string{"light", "dark"}
	if dir == "" { // a page that fits this window fits wider ones
		widths, schemes = map[string]int{"small": 320}, []string{"light"}
	}
	for _, scheme := range schemes {
		for name, width := range widths {
			window := browser.NewContext(map[string]any{"colorScheme": scheme, "viewport": map[string]int{"width": width, "height": 844}})
			tab := window.Open(site + "/signup")
			capture := func(page string) {
				t.Helper()
				var wide int
				tab.Eval(`return document.documentElement.scrollWidth`, nil, &wide)
				if wide > width {
					t.Errorf("%s is %d pixels wide in a window of %d", page, wide, width)
				}
				if dir != "" {
					tab.Screenshot(filepath.Join(dir, page+"-"+name+"-"+scheme+".png"))
				}
			}
			capture("signup")
			tab.Goto(site + "/nothing")
			capture("error")
			tab.Goto(site + "/login")
			tab.Fill("[name=login]", "ada")
			tab.Fill("[name=password]", "not "+password+strconv.Itoa(width))
			tab.Click("form#credentials button")
			tab.WaitText("#problem", "do not match")
			capture("login")
			logIn(tab, site, "ada")
			tab.WaitText("#comments", "Lunch")
			tab.WaitText("[data-login=bob]", "online")
			tab.WaitText("[data-login=katherine]", "wants")
			tab.WaitText("#signedin", "this device")
			tab.WaitText("#signedin", "iPhone")
			capture("dashboard")
			say(bob, "The boat is ready.")
			tab.WaitText(".toast", "The boat is ready.")
			capture("toast")
			window.SetOffline(true)
			tab.WaitText("#state", "reconnecting")
			capture("offline")
			window.SetOffline(false)
			tab.WaitText("#state", "connected")
			tab.Click("#logout")
			tab.WaitText("#notice", "logged out")
			window.Close()
		}
	}
}
