package nodetest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// python is Debian's interpreter, whatever else is in the PATH: its packages are the
// clients under test.
const python = "/usr/bin/python3"

// StartPython starts a Python process with Debian's packages python3-socketio (the client
// versions "sync" and "asyncio") and python3-websocket. If they are missing, the test fails
// if CI is set, and is skipped otherwise.
func StartPython(t testing.TB) *Driver {
	t.Helper()
	if err := exec.Command(python, "-c", "import socketio, aiohttp, requests, websocket").Run(); err != nil {
		missing(t, "Debian's python3-socketio, python3-aiohttp, python3-requests or python3-websocket", err)
	}
	d := StartDriver(t, "python", exec.Command(python, filepath.Join(Dir(t), "driver.py")))
	d.version = "sync"
	return d
}

// Versions returns the versions of the packages that a driver runs, by their name.
func (d *Driver) Versions(t testing.TB) map[string]string {
	t.Helper()
	var out map[string]string
	d.must(t, "versions", nil, &out)
	return out
}

// HTTPSession is a session of Python's HTTP library with a cookie jar: a requests.Session
// for clients of the version "sync", an aiohttp.ClientSession for "asyncio".
type HTTPSession struct {
	d      *Driver
	number int
}

// NewHTTPSession creates an HTTPSession for clients of a version.
func (d *Driver) NewHTTPSession(t testing.TB, version string) *HTTPSession {
	t.Helper()
	s := &HTTPSession{d: d}
	s.number, _ = d.number()
	d.must(t, "session", map[string]any{"session": s.number, "version": version}, nil)
	return s
}

// Fetch sends a request with the session's cookies.
func (s *HTTPSession) Fetch(t testing.TB, method, url string) Response {
	t.Helper()
	var out Response
	s.d.must(t, "fetch", map[string]any{"session": s.number, "request": Request{Method: method, URL: url}}, &out)
	return out
}
