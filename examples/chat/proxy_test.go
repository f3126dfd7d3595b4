package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// behind starts a proxy, with its file from this folder, in front of three servers.
// Edits are pairs: what stands in the file, and what shall.
func behind(t *testing.T, name string, handler http.Handler, edits ...string) (site string, nodes []*httptest.Server) {
	t.Helper()
	needProxy(t, name)
	proxy, program := findProxy(name)
	conf := strings.NewReplacer(edits...).Replace(*proxy.conf)
	proxy.conf = &conf
	dir, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	a := &all{cfg: setup{Front: freeTestAddr(t), Out: testWriter{t}}, dir: dir}
	for i := range 3 {
		node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Node", string(rune('1'+i)))
			if r.URL.Path != "/healthz" {
				handler.ServeHTTP(w, r)
			}
		}))
		t.Cleanup(node.Close)
		nodes = append(nodes, node)
		a.cfg.Nodes = append(a.cfg.Nodes, node.Listener.Addr().String())
	}
	t.Cleanup(a.Close) // before the nodes, which wait for its connections
	if err := a.runProxy(t.Context(), proxy, program); err != nil {
		t.Fatal(err)
	}
	return a.urls()[0], nodes
}

// TestProxySettings sees what the two files have the nodes receive.
func TestProxySettings(t *testing.T) {
	t.Parallel()
	for _, proxy := range []string{"nginx", "haproxy"} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			firstByteRead := make(chan struct{})
			var got http.Header
			var host string
			site, nodes := behind(t, proxy, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/headers":
					got, host = r.Header, r.Host
				case "/body":
					n, err := io.Copy(io.Discard, r.Body)
					if err != nil || n == 0 {
						t.Errorf("a body of %d bytes: %v", n, err)
					}
				case "/socket.io/stream":
					_, _ = io.WriteString(w, "a")
					w.(http.Flusher).Flush()
					select {
					case <-firstByteRead:
					case <-time.After(30 * time.Second):
						t.Error("the first byte of an answer was kept back until its end")
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
				t.Errorf("Connection of an upgrade is %q", got.Get("Connection"))
			}
			if "http://"+host != site {
				t.Errorf("Host is %q at %s", host, site)
			}

			if res, _ := v.do("POST", "/body", strings.Repeat("x", engineio.ConfigDefault.MaxPayload)); res.StatusCode != http.StatusOK {
				t.Errorf("the largest payload is answered %s", res.Status)
			}
			if res, _ := v.do("POST", "/body", strings.Repeat("x", 2<<20), "Expect", "100-continue"); res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("twice the largest body is answered %s", res.Status)
			}

			res, err := v.http.Get(site + "/socket.io/stream")
			if err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 1)
			if _, err := io.ReadFull(res.Body, first); err != nil || first[0] != 'a' {
				t.Errorf("the stream begins with %q: %v", first, err)
			}
			close(firstByteRead)
			rest, err := io.ReadAll(res.Body)
			if err != nil || !bytes.Equal(rest, []byte("b")) {
				t.Errorf("the stream ends with %q: %v", rest, err)
			}
			_ = res.Body.Close()

			sticky(t, site, nodes)
		})
	}
}

// sticky sees that visitors stay at their nodes, that there are several, and that
// those of a node that ends go on at another, and stay there.
func sticky(t *testing.T, site string, nodes []*httptest.Server) {
	t.Helper()
	at := func(v *visitor) string {
		res, _ := v.do("GET", "/page", "")
		if res.StatusCode != http.StatusOK {
			t.Fatalf("a page is answered %s", res.Status)
		}
		return res.Header.Get("X-Node")
	}
	homes := map[string][]*visitor{}
	for range 60 { // that all end at one node by chance is as good as impossible
		v := newVisitor(t, site)
		home := at(v)
		for range 3 {
			if got := at(v); got != home {
				t.Fatalf("a visitor of node %s is sent to node %s", home, got)
			}
		}
		homes[home] = append(homes[home], v)
	}
	if len(homes) != 3 {
		t.Fatalf("60 visitors are at %d nodes of 3", len(homes))
	}
	stay := homes["2"][0]
	nodes[0].CloseClientConnections()
	nodes[0].Listener.Close() // refuses from now on
	for _, v := range homes["1"][:2] {
		second := at(v)
		if second == "1" {
			t.Fatal("an ended node answers")
		}
		for range 3 {
			if got := at(v); got != second {
				t.Errorf("a visitor that went on at node %s is sent to node %s", second, got)
			}
		}
	}
	if got := at(stay); got != "2" {
		t.Errorf("a visitor of node 2 is sent to node %s as node 1 ends", got)
	}
}

// nginx works in several processes, and a browser's connections are with any of them.
// When one has seen a node fail, all must take its visitors elsewhere.
func TestNginxWorkersAgree(t *testing.T) {
	t.Parallel()
	site, _ := behind(t, "nginx", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fail" && w.Header().Get("X-Node") == r.Header.Get("X-Fails") {
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
	}), "worker_processes auto", "worker_processes 4", "fail_timeout=5s", "fail_timeout=1h")
	v := newVisitor(t, site)
	v.http.Transport.(*http.Transport).DisableKeepAlives = true // each request may come to another worker
	first, _ := v.do("GET", "/page", "")
	home := first.Header.Get("X-Node")
	next, _ := v.do("GET", "/fail", "", "X-Fails", home)
	elsewhere := next.Header.Get("X-Node")
	if elsewhere == home || next.StatusCode != http.StatusOK {
		t.Fatalf("what node %s fails to answer is answered %s by node %s", home, next.Status, elsewhere)
	}
	for range 200 {
		if res, _ := v.do("GET", "/page", ""); res.Header.Get("X-Node") != elsewhere {
			t.Fatalf("a visitor who was taken from node %s to %s is sent to %s", home, elsewhere, res.Header.Get("X-Node"))
		}
	}
}

// Heartbeats keep a quiet connection alive only through a proxy that waits for longer.
func TestProxyTimeoutsOutlastHeartbeats(t *testing.T) {
	t.Parallel()
	quiet := engineio.ConfigDefault.PingInterval + engineio.ConfigDefault.PingTimeout
	for name, file := range map[string]string{
		"proxy_read_timeout": nginxConf, "proxy_send_timeout": nginxConf,
		"timeout client": haproxyCfg, "timeout server": haproxyCfg, "timeout tunnel": haproxyCfg,
	} {
		found := regexp.MustCompile(`(?m)^\s*` + name + `\s+(\d+s)`).FindStringSubmatch(file)
		if found == nil {
			t.Errorf("%s is not set", name)
			continue
		}
		if d, err := time.ParseDuration(found[1]); err != nil || d <= quiet {
			t.Errorf("%s is %s, and a connection may be quiet for %s: %v", name, found[1], quiet, err)
		}
	}
}

func TestUnknownProxy(t *testing.T) {
	t.Parallel()
	a := &all{cfg: setup{Proxy: "apache"}, dir: t.TempDir()}
	if err := a.startProxy(t.Context()); err == nil || !strings.Contains(err.Error(), "nginx, haproxy, none") {
		t.Errorf("says %v", err)
	}
	names := []string{}
	for _, p := range proxyPrograms {
		names = append(names, p.name)
	}
	if !slices.Equal(names, []string{"nginx", "haproxy"}) {
		t.Errorf("the message names other proxies than there are: %v", names)
	}
}
