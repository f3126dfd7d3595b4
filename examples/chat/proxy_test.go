package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// TestProxySettings checks what the nodes receive through the two configuration files.
func TestProxySettings(t *testing.T) {
	t.Parallel()
	for _, proxy := range []string{"nginx", "haproxy"} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			firstByteRead := make(chan struct{})
			var got http.Header
			var host string
			var complete atomic.Bool // the client has sent the whole body
			site, nodes := startBehindProxy(t, proxy, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/headers":
					got, host = r.Header, r.Host
				case "/body":
					n, err := io.Copy(io.Discard, r.Body)
					if err != nil || n == 0 {
						t.Errorf("received a body of %d bytes: %v", n, err)
					}
				case "/socket.io/post":
					if !complete.Load() {
						t.Error("a node gets a request whose body the proxy does not have")
					}
					n, _ := io.Copy(io.Discard, r.Body)
					w.Header().Set("X-Bytes", strconv.FormatInt(n, 10))
				case "/socket.io/stream":
					_, _ = io.WriteString(w, "a")
					w.(http.Flusher).Flush()
					select {
					case <-firstByteRead:
					case <-time.After(30 * time.Second):
						t.Error("the proxy buffers the response: its first byte did not arrive before its end")
					}
					_, _ = io.WriteString(w, "b")
				}
			}))
			v := newVisitor(t, site)

			v.do("GET", "/headers", "", "X-Forwarded-For", "6.6.6.6", "X-Forwarded-Host", "evil.example",
				"X-Forwarded-Proto", "https", "Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg==")
			for name, want := range map[string]string{
				"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "", "Upgrade": "websocket",
			} {
				if all := strings.Join(got.Values(name), ", "); all != want {
					t.Errorf("%s is %q, want %q", name, all, want)
				}
			}
			if !strings.EqualFold(got.Get("Connection"), "upgrade") {
				t.Errorf("the Connection header of an upgrade is %q", got.Get("Connection"))
			}
			if "http://"+host != site {
				t.Errorf("Host is %q, want that of %s", host, site)
			}

			if res, _ := v.do("POST", "/body", strings.Repeat("x", engineio.ConfigDefault.MaxPayload)); res.StatusCode != http.StatusOK {
				t.Errorf("the largest payload gets %s, want 200", res.Status)
			}
			if status := v.announce("/body", 2<<20); status != http.StatusRequestEntityTooLarge {
				t.Errorf("twice the largest body gets %d, want 413", status)
			}

			// A client that only announces a body, or sends it slowly, costs no node anything.
			nc, err := net.Dial("tcp", strings.TrimPrefix(site, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			_, _ = io.WriteString(nc, "POST /socket.io/post HTTP/1.1\r\nHost: a\r\nContent-Length: 8000\r\n\r\n"+strings.Repeat("x", 4000))
			for range 20 { // a proxy that passes the header on has done so meanwhile
				v.do("GET", "/", "")
			}
			complete.Store(true)
			_, _ = io.WriteString(nc, strings.Repeat("x", 4000))
			if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.Header.Get("X-Bytes") != "8000" {
				t.Errorf("the post got %+v, %v", res, err)
			}

			res, err := v.http.Get(site + "/socket.io/stream")
			if err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 1)
			if _, err := io.ReadFull(res.Body, first); err != nil || first[0] != 'a' {
				t.Errorf("the stream starts with %q: %v", first, err)
			}
			close(firstByteRead)
			rest, err := io.ReadAll(res.Body)
			if err != nil || !bytes.Equal(rest, []byte("b")) {
				t.Errorf("the stream ends with %q: %v", rest, err)
			}
			_ = res.Body.Close()

			checkSticky(t, site, nodes)
		})
	}
}

// nginx has several worker processes, and a browser's connections can be with any of them.
// When a node fails to answer a request, the cookie sends its visitor to another one through all of
// them.
func TestNginxWorkersAgree(t *testing.T) {
	t.Parallel()
	site, _ := startBehindProxy(t, "nginx", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fail" && w.Header().Get("X-Node") == r.Header.Get("X-Fails") {
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
	}), "worker_processes auto", "worker_processes 4")
	v := newVisitor(t, site)
	v.http.Transport.(*http.Transport).DisableKeepAlives = true // each request can reach another worker
	first, _ := v.do("GET", "/page", "")
	home := first.Header.Get("X-Node")
	next, _ := v.do("GET", "/fail", "", "X-Fails", home)
	elsewhere := next.Header.Get("X-Node")
	if elsewhere == home || next.StatusCode != http.StatusOK {
		t.Fatalf("a request that node %s fails to answer gets %s from node %s", home, next.Status, elsewhere)
	}
	for range 200 {
		if res, _ := v.do("GET", "/page", ""); res.Header.Get("X-Node") != elsewhere {
			t.Fatalf("a visitor that moved from node %s to %s is sent to %s", home, elsewhere, res.Header.Get("X-Node"))
		}
	}
}

// Heartbeats keep an idle connection alive only if the proxy waits longer than their interval.
func TestProxyTimeoutsOutlastHeartbeats(t *testing.T) {
	t.Parallel()
	idle := engineio.ConfigDefault.PingInterval + engineio.ConfigDefault.PingTimeout
	for name, file := range map[string]string{
		"proxy_read_timeout": nginxConf, "proxy_send_timeout": nginxConf,
		"timeout client": haproxyCfg, "timeout server": haproxyCfg, "timeout tunnel": haproxyCfg,
	} {
		found := regexp.MustCompile(`(?m)^\s*` + name + `\s+(\d+s)`).FindStringSubmatch(file)
		if found == nil {
			t.Errorf("%s is not set", name)
			continue
		}
		if d, err := time.ParseDuration(found[1]); err != nil || d <= idle {
			t.Errorf("%s is %s, but a connection may be idle for %s: %v", name, found[1], idle, err)
		}
	}
}

func TestUnknownProxy(t *testing.T) {
	t.Parallel()
	c := &cluster{cfg: clusterConfig{Proxy: "apache"}, dir: t.TempDir()}
	if err := c.startProxy(t.Context()); err == nil || !strings.Contains(err.Error(), "nginx, haproxy, none") {
		t.Errorf("error %v, want one that lists the supported proxies", err)
	}
	names := []string{}
	for _, p := range proxyPrograms {
		names = append(names, p.name)
	}
	if !slices.Equal(names, []string{"nginx", "haproxy"}) {
		t.Errorf("the error lists nginx and haproxy, but the supported proxies are %v", names)
	}
}

// M2: while a node answers its health check with 503, HAProxy sends it no new visitors. Requests
// under way are finished, and its visitors stay. A handshake that it refuses goes to another node.
// Without the rule for 503, HAProxy takes the node for down and cuts its requests.
func TestM2_HAProxyLetsANodeDrain(t *testing.T) {
	t.Parallel()
	const rule = "    http-check expect error-status L7OKC status 200\n"
	for _, tt := range []struct {
		name  string
		edits []string
		cut   bool
	}{
		{"with the file", nil, false},
		{"without the rule", []string{rule, ""}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var draining atomic.Pointer[string] // the node that drains
			var checks atomic.Int64
			slow, release := make(chan string, 1), make(chan struct{})
			drains := func(w http.ResponseWriter) bool {
				name := draining.Load()
				return name != nil && *name == w.Header().Get("X-Node")
			}
			site, _ := startBehindProxy(t, "haproxy", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/healthz":
					if drains(w) {
						checks.Add(1)
						w.WriteHeader(http.StatusServiceUnavailable)
					}
				case r.URL.Path == "/slow":
					slow <- w.Header().Get("X-Node")
					<-release
				case r.URL.Path == "/socket.io/" && drains(w):
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}), tt.edits...)
			v := newVisitor(t, site)
			v.do("GET", "/page", "")
			answer := make(chan error, 1)
			go func() { // received below
				res, err := v.http.Post(site+"/slow", "text/plain", strings.NewReader("x"))
				if err == nil {
					_ = res.Body.Close()
					if res.StatusCode != http.StatusOK {
						err = errors.New(res.Status)
					}
				}
				answer <- err
			}()
			home := <-slow
			draining.Store(&home)
			for deadline := time.Now().Add(time.Minute); checks.Load() < 4; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("HAProxy does not check the node")
				}
			}
			if tt.cut {
				close(release)
				if err := <-answer; err == nil {
					t.Error("the request was answered: the file need not have the rule")
				}
				return
			}
			for range 12 {
				if res, _ := newVisitor(t, site).do("GET", "/page", ""); res.Header.Get("X-Node") == home {
					t.Error("a new visitor was sent to the node that drains")
				}
			}
			if res, _ := v.do("GET", "/page", ""); res.Header.Get("X-Node") != home {
				t.Errorf("a visitor of the node that drains is sent to node %s", res.Header.Get("X-Node"))
			}
			close(release)
			if err := <-answer; err != nil {
				t.Errorf("a request that was under way failed: %v", err)
			}
			res, _ := v.do("GET", "/socket.io/", "")
			if res.StatusCode != http.StatusOK || res.Header.Get("X-Node") == home {
				t.Errorf("a handshake that node %s refused got %s from node %s", home, res.Status, res.Header.Get("X-Node"))
			}
			if res, _ := v.do("GET", "/page", ""); res.Header.Get("X-Node") == home {
				t.Error("after its handshake the visitor is still sent to the node that drains, so its polls would not find their connection")
			}
		})
	}
}

// M2: through nginx, a handshake that a draining node refuses goes to another node, and the polls
// follow it and stay there when the node is back. The node keeps the polls and requests of its other
// visitors. With max_fails=1 for all nodes, it would lose them at the first refusal.
func TestM2_NginxLetsANodeDrain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		edits []string
		lost  bool
	}{
		{"with the file", nil, false},
		{"without max_fails=0", []string{"max_fails=0", "max_fails=1 fail_timeout=1h", "worker_processes auto", "worker_processes 1"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var draining atomic.Pointer[string]
			site, _ := startBehindProxy(t, "nginx", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if name := draining.Load(); name != nil && *name == w.Header().Get("X-Node") && r.URL.Path == "/socket.io/" && r.URL.Query().Get("sid") == "" {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}), tt.edits...)
			nodeOf := func(v *visitor, method, path string) string {
				res, _ := v.do(method, path, "")
				if res.StatusCode != http.StatusOK {
					t.Errorf("%s %s gets %s", method, path, res.Status)
				}
				return res.Header.Get("X-Node")
			}
			const handshake, poll = "/socket.io/?transport=polling", "/socket.io/?transport=polling&sid=a"
			homes := map[string][]*visitor{}
			for range 12 {
				v := newVisitor(t, site)
				home := nodeOf(v, "GET", handshake)
				homes[home] = append(homes[home], v)
			}
			home := "2"
			if len(homes[home]) < 2 {
				t.Fatalf("visitors are spread as %v", homes)
			}
			moves, stays := homes[home][0], homes[home][1]
			draining.Store(&home)
			next := nodeOf(moves, "GET", handshake)
			if next == home {
				t.Errorf("a handshake that node %s refused was answered by it", home)
			}
			for _, method := range []string{"GET", "POST", "GET"} {
				if got := nodeOf(moves, method, poll); got != next {
					t.Errorf("after its handshake with node %s, a visitor polls node %s", next, got)
				}
			}
			lost := false
			for _, path := range []string{poll, "/page", poll} {
				lost = lost || nodeOf(stays, "GET", path) != home
			}
			if lost != tt.lost {
				t.Errorf("a visitor of the node that drains was sent elsewhere: %v, want %v", lost, tt.lost)
			}
			for range 6 {
				if got := nodeOf(newVisitor(t, site), "GET", handshake); got == home {
					t.Error("a handshake of a new visitor was answered by the node that drains")
				}
			}
			draining.Store(nil)
			if got := nodeOf(moves, "GET", poll); got != next {
				t.Errorf("after the restart of its first node, a visitor of node %s polls node %s", next, got)
			}
		})
	}
}
