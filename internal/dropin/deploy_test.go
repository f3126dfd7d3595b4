package dropin_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// What each release can read when both have stored their values. The type of basket and cart
// has another name in the other release; the type of profile and settings, another field.
var (
	ofBoth  = map[string]string{"user": "string alice"}
	unknown = "<nil> <nil>"
	ofOld   = map[string]string{
		"profile": "main.Profile {Name:Alice Age:30}", "basket": "main.Basket {Items:[tea cup]}", "theme": "main.Theme {Name:dark}",
	}
	ofNext = map[string]string{
		"settings": "main.Profile {Name:Alice Age:thirty}", "cart": "main.Cart {Items:[pot]}", "badge": "main.Badge {Count:3}",
	}
)

// reads returns what a release reads: its own values, and none of the other's.
func reads(count string, own, others map[string]string) map[string]string {
	all := maps.Clone(ofBoth)
	all["count"] = "int " + count
	maps.Copy(all, own)
	for key := range others {
		all[key] = unknown
	}
	return all
}

// Two releases with different types serve one visitor from one Redis, with an open socket at
// each. The visitor stays logged in, the sockets stay open, and each release leaves the other's
// values as they are.
func TestF6_RollingDeploy(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED: builds two programs, and -short is set")
	}
	server := redistest.Start(t)
	oldProgram := build(t, "deploy", nil)
	nextProgram := build(t, "deploy", nil, "-tags", "next")
	old, stopOld := startRelease(t, oldProgram, server.URL())
	next, _ := startRelease(t, nextProgram, server.URL())

	v := &caller{t: t, transport: new(http.Transport)}
	t.Cleanup(v.transport.CloseIdleConnections)
	v.do("POST", old, "/login")
	atOld, atNext := connect(t, old, v.cookie), connect(t, next, v.cookie)
	check := func(where string, got []byte, want map[string]string) {
		t.Helper()
		var values map[string]string
		must(t, json.Unmarshal(got, &values))
		if !maps.Equal(values, want) {
			t.Errorf("%s: got the values\n%v\nwant\n%v", where, values, want)
		}
	}
	checkAll := func(when, count string) {
		t.Helper()
		check("old release, "+when, v.do("GET", old, "/values"), reads(count, ofOld, ofNext))
		check("next release, "+when, v.do("GET", next, "/values"), reads(count, ofNext, ofOld))
		check("socket at the old release, "+when, atOld.call("values"), reads(count, ofOld, ofNext))
		check("socket at the next release, "+when, atNext.call("values"), reads(count, ofNext, ofOld))
		for _, address := range []string{old, next} {
			if got := string(v.do("GET", address, "/devices")); got != "1" {
				t.Errorf("%s: the user has %s devices, want 1", when, got)
			}
		}
	}

	v.do("POST", old, "/save")
	atNext.call("save")
	atOld.call("count")
	checkAll("when both have saved", "1")

	atNext.call("count")
	v.do("POST", next, "/count")
	v.do("POST", old, "/count")
	checkAll("when both have counted", "4")

	v.do("POST", next, "/save")
	atOld.call("save")
	checkAll("when both have saved again", "4")

	before := v.cookie
	v.do("POST", next, "/renew")
	if v.cookie == before {
		t.Error("the next release gave the session no new ID")
	}
	checkAll("when the ID has changed at the next release", "4")
	v.do("POST", old, "/renew")
	checkAll("when the ID has changed at the old release", "4")

	// The deploy ends, and is rolled back.
	stopOld()
	second, _ := startRelease(t, nextProgram, server.URL())
	v.do("POST", second, "/count")
	check("a second node of the next release", v.do("GET", second, "/values"), reads("5", ofNext, ofOld))
	check("socket at the next release, when the old one is gone", atNext.call("values"), reads("5", ofNext, ofOld))
	back, _ := startRelease(t, oldProgram, server.URL())
	check("the old release, when it is back", v.do("GET", back, "/values"), reads("5", ofOld, ofNext))
	check("a new socket at the old release", connect(t, back, v.cookie).call("values"), reads("5", ofOld, ofNext))
}

// startRelease runs a program until stop is called or the test ends, and returns its address.
func startRelease(t *testing.T, program, redis string) (address string, stop func()) {
	t.Helper()
	cmd := exec.Command(program, "-redis", redis)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	log := &logBuffer{}
	cmd.Stderr = log
	must(t, cmd.Start())
	stop = func() {
		if cmd.ProcessState == nil {
			_ = stdin.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() && log.Len() > 0 {
			t.Logf("a release wrote:\n%s", log)
		}
	})
	if err := json.NewDecoder(stdout).Decode(&address); err != nil {
		t.Fatalf("the program did not start: %v\n%s", err, log)
	}
	return address, stop
}

// caller is a visitor who keeps one cookie.
type caller struct {
	t         *testing.T
	transport *http.Transport
	cookie    string
}

// do makes a request that must succeed, and returns the body.
func (c *caller) do(method, address, path string) []byte {
	c.t.Helper()
	req, err := http.NewRequest(method, "http://"+address+path, nil)
	must(c.t, err)
	if c.cookie != "" {
		req.Header.Set("Cookie", c.cookie)
	}
	res, err := c.transport.RoundTrip(req)
	must(c.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(c.t, err)
	if res.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s: got %s %s", method, path, res.Status, body)
	}
	for _, cookie := range res.Cookies() {
		c.cookie = cookie.Name + "=" + cookie.Value
	}
	return body
}
