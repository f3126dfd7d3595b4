package main

import "github.com/fiberbridge/fiberbridge/internal/nodetest"

// openChat logs in with a browser, waits until the page is connected, and returns the page
// and its node.
func openChat(site string, context *nodetest.Context, name string) (*nodetest.Page, string) {
	page := context.Open(site + "/login")
	page.Fill("#name", name)
	page.Click("#enter")
	page.WaitText("#state.on", " · ")
	return page, nodeOf(page)
}

func nodeOf(page *nodetest.Page) (node string) {
	page.Eval(`return document.getElementById("state").dataset.node`, nil, &node)
	return node
}

// post sends a message to the conversation on screen and waits until the page shows it.
func post(page *nodetest.Page, text string) {
	page.Fill("#text", text)
	page.Click("#say button:enabled")
	page.WaitText("#messages", text)
}
