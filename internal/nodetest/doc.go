// Package nodetest drives the real clients from Go tests: three versions of socket.io-client
// in Node, this repository's own client, pages in headless Chromium and the clients in them
// (Page.Dial), Python's clients (StartPython), and plain WebSockets of each
// (DialWebSocket).
//
//	n := nodetest.Start(t)
//	c := n.Connect(t, "http://127.0.0.1:3000", nodetest.Options{Cookie: cookie})
//	c.Emit("say", "hello")
//	args := c.MustNext("said")         // waits for the next "said" event
//	answer := c.MustCall("count", 1)   // emits and waits for the acknowledgement
//	c.Close()
//
//	page := n.Browser(t).Open("http://127.0.0.1:3000/")
//	page.Click("button")
//	page.WaitText("#count", "1")
//
// How it works:
//
//   - Start runs one Node process (driver.mjs) for the test. Both exchange one JSON
//     object per line. When the test ends, so does the process. Its error output goes to
//     the test's log. StartPython does the same with driver.py, and StartDriver with any
//     program that speaks this protocol.
//   - With Share in TestMain, the tests of a package share one Node process and one Chromium.
//   - Events are queued as they happen until the test consumes them, each once and in
//     order. So no event is missed, and no test needs to sleep.
//   - If a tool is missing (Node, the packages of package-lock.json, Chromium), the test
//     fails if the environment variable CI is set, and is skipped otherwise. `make deps`
//     installs them.
//
// Serve starts the reference server from npm, against which this package and the browser
// client are tested. Cluster and Express start Node servers that share Redis with the
// server under test.
//
// Only the tests of this module import the package.
package nodetest
