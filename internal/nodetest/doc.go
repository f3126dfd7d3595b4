// Package nodetest drives the real clients from Go tests: socket.io-client in
// Node, in two versions, and pages in headless Chromium.
//
//	n := nodetest.Start(t)
//	c := n.Connect(t, "http://127.0.0.1:3000", nodetest.Options{Cookie: cookie})
//	c.Emit("say", "hello")
//	args := c.MustNext("said")         // the next "said" that nobody took yet
//	answer := c.MustCall("count", 1)   // emit, and wait for the acknowledgement
//	c.Close()
//
//	page := n.Browser(t).Open("http://127.0.0.1:3000/")
//	page.Click("button")
//	page.WaitText("#count", "1")
//
// Three ideas:
//
//   - One Node process for a test, driven by one JSON object a line. It ends, and
//     is waited for, when the test does; what it prints as an error is in the
//     test's log.
//   - Events are told as they happen and kept until a test takes them, each once
//     and in order. So nothing is missed, and no test has to sleep.
//   - A tool that is missing (Node, the packages of package-lock.json, Chromium)
//     fails the test when the environment variable CI is set, and skips it by name
//     otherwise. `make deps` installs them.
//
// Serve starts the reference server from npm, against which this package and the
// browser client are tested. Nothing here is for production or for other projects:
// only the tests of this one import it, and it changes as they need.
package nodetest
