package main

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// Actions of a user in a tab.

func signUp(tab *nodetest.Page, site, login, name string) {
	tab.Goto(site + "/signup")
	tab.Fill("[name=name]", name)
	tab.Fill("[name=login]", login)
	tab.Fill("[name=password]", password)
	tab.Click("form#credentials button")
	tab.WaitText("#state", "connected")
}

func logIn(tab *nodetest.Page, site, login string) {
	tab.Goto(site + "/login")
	tab.Fill("[name=login]", login)
	tab.Fill("[name=password]", password)
	tab.Click("form#credentials button")
	tab.WaitText("#state", "connected")
}

func say(tab *nodetest.Page, text string) {
	tab.Fill("#text", text)
	tab.Click("#say button")
}

func ask(tab *nodetest.Page, login string) {
	tab.Fill("#who", login)
	tab.Click("#ask button")
}

// befriend sends a friend request from one tab and accepts it in the other.
func befriend(asking, asked *nodetest.Page, asker, login string) {
	ask(asking, login)
	asked.Click("[data-login=" + asker + "] button.primary")
	asking.WaitText("[data-login="+login+"]", "online")
	asked.WaitText("[data-login="+asker+"]", "online")
}

// waitForNone waits until no element matches the selector.
func waitForNone(t *testing.T, tab *nodetest.Page, selector string) {
	t.Helper()
	var left bool
	tab.Eval(`
		for (const end = Date.now() + 15000; Date.now() < end; await new Promise((ok) => setTimeout(ok, 20)))
			if (!document.querySelector(arg)) return false;
		return true;`, selector, &left)
	if left {
		t.Fatalf("%s is still there", selector)
	}
}

// checkNoErrors fails the test if a page logged an error, such as one of its scripts or a
// violation of its Content-Security-Policy.
func checkNoErrors(t *testing.T, tabs ...*nodetest.Page) {
	t.Helper()
	for _, tab := range tabs {
		for tab.Waiting("error") > 0 {
			t.Errorf("a page logged the error %q", tab.MustNext("error"))
		}
	}
}

const iPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1"
