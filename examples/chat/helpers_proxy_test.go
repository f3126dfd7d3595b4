package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// startBehindProxy starts three servers behind a proxy with its configuration file from this
// folder. The handler finds the node's number in the response's X-Node. Edits are pairs of old and
// new text in the file.
func startBehindProxy(t *testing.T, name string, handler http.Handler, edits ...string) (site string, nodes []*httptest.Server) {
	t.Helper()
	needProxy(t, name)
	proxy, program := findProxy(name)
	conf := strings.NewReplacer(edits...).Replace(*proxy.conf)
	proxy.conf = &conf
	dir, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{cfg: clusterConfig{ProxyAddr: reserveAddr(t), Out: testWriter{t}}, dir: dir}
	for i := range 3 {
		node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Node", string(rune('1'+i)))
			handler.ServeHTTP(w, r)
		}))
		t.Cleanup(node.Close)
		nodes = append(nodes, node)
		c.cfg.Nodes = append(c.cfg.Nodes, node.Listener.Addr().String())
	}
	t.Cleanup(c.Close) // runs before the nodes close, because they wait for its connections
	if err := c.runProxy(t.Context(), proxy, program); err != nil {
		t.Fatal(err)
	}
	return c.urls()[0], nodes
}

// checkSticky checks that visitors stay on their nodes, that they are spread over all nodes,
// and that the visitors of a node that stops move to another one and stay there.
func checkSticky(t *testing.T, site string, nodes []*httptest.Server) {
	t.Helper()
	nodeFor := func(v *visitor) string {
		res, _ := v.do("GET", "/page", "")
		if res.StatusCode != http.StatusOK {
			t.Fatalf("a page request gets %s", res.Status)
		}
		return res.Header.Get("X-Node")
	}
	homes := map[string][]*visitor{}
	for range 60 { // 60 visitors on fewer than three nodes by chance is practically impossible
		v := newVisitor(t, site)
		home := nodeFor(v)
		for range 3 {
			if got := nodeFor(v); got != home {
				t.Fatalf("a visitor of node %s is sent to node %s", home, got)
			}
		}
		homes[home] = append(homes[home], v)
	}
	if len(homes) != 3 {
		t.Fatalf("60 visitors are on %d nodes of 3", len(homes))
	}
	stay := homes["2"][0]
	nodes[0].CloseClientConnections()
	nodes[0].Listener.Close() // rejects connections from now on
	for _, v := range homes["1"][:2] {
		second := nodeFor(v)
		if second == "1" {
			t.Fatal("a stopped node answers")
		}
		for range 3 {
			if got := nodeFor(v); got != second {
				t.Errorf("a visitor that moved to node %s is sent to node %s", second, got)
			}
		}
	}
	if got := nodeFor(stay); got != "2" {
		t.Errorf("a visitor of node 2 is sent to node %s after node 1 stopped", got)
	}
}
