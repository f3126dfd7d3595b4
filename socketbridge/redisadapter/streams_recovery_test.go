package redisadapter_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/matrix"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// switchingProxy forwards connections to a server that the test can switch.
type switchingProxy struct {
	net.Listener
	mu     sync.Mutex
	target string
	conns  []net.Conn
	wg     sync.WaitGroup
}

func newSwitchingProxy(t *testing.T) *switchingProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &switchingProxy{Listener: ln}
	p.wg.Go(func() { // ends with the listener; waited for below
		for {
			c, err := p.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.forward(c) }) // ends with the connection; waited for below
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		p.switchTo("")
		p.wg.Wait()
	})
	return p
}

// switchTo breaks all connections and forwards new ones to the server at a URL.
func (p *switchingProxy) switchTo(url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = strings.TrimPrefix(url, "http://")
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *switchingProxy) forward(in net.Conn) {
	defer func() { _ = in.Close() }()
	p.mu.Lock()
	p.conns = append(p.conns, in)
	target := p.target
	p.mu.Unlock()
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	p.wg.Go(func() { // ends with out; newSwitchingProxy's cleanup waits for it
		_, _ = io.Copy(in, out)
		_ = in.Close()
	})
	_, _ = io.Copy(out, in)
	_ = out.Close()
}

// isStateOf reports whether a value in Redis is the state of a socket.
func isStateOf(value, id string) bool {
	raw, err := base64.StdEncoding.DecodeString(value)
	return err == nil && bytes.Contains(raw, []byte(id))
}

// A client without a session resumes on our server after a connection to Node's, and the
// other way round. It keeps its socket's ID, rooms and data, and receives the events that
// both servers sent meanwhile, once and in order.
func TestStreams_RecoveryWithNode(t *testing.T) {
	t.Parallel()
	for _, v := range variants {
		if v.node.Streams {
			t.Run(v.name, func(t *testing.T) {
				t.Parallel()
				v.skipUnlessWhole(t)
				testRecoveryWithNode(t, v)
			})
		}
	}
}

func testRecoveryWithNode(t *testing.T, v variant) {
	redis, options := v.start(t) // before Node, whose redis clients fail when it ends
	n := nodetest.Start(t)
	options.Options = map[string]any{"connectionStateRecovery": map[string]any{"maxDisconnectionDuration": 60_000}}
	node := n.Cluster(t, options)
	ours, url := startServerWithRecovery(t, redis, v.ours, socketbridge.Recovery{Window: time.Minute})
	waitFor(t, "the two nodes find each other", func() string {
		got, err := ours.Nodes(t.Context())
		var theirs int
		node.Run(t, "/", "return await nsp.adapter.serverCount()", &theirs)
		if got != 2 || theirs != 2 || err != nil {
			return fmt.Sprint("ours counts ", got, err, ", Node counts ", theirs)
		}
		return ""
	})
	client := v.client(t, options)
	keys := v.keys()
	for name, urls := range map[string][2]string{"recovery ←": {node.URL, url}, "recovery →": {url, node.URL}} {
		t.Run(name, func(t *testing.T) {
			matrix.Cell(t, "adapters", v.row(t), name)
			proxy := newSwitchingProxy(t)
			proxy.switchTo(urls[0])
			room := "room " + name
			c := n.Connect(t, "http://"+proxy.Addr().String(), nodetest.Options{
				Transports: []string{"websocket"},
				Auth:       map[string]any{"rooms": []string{room}},
			})
			c.MustNext("ready")
			id := c.State().ID
			if urls[0] == url {
				ours.Of("/").Socket(id).Data().Set("name", "x")
			} else {
				node.Run(t, "/", `nsp.sockets.get(args[0]).data.name = "x"`, nil, id)
			}
			if err := ours.To(room).Emit("note", 1); err != nil {
				t.Fatal(err)
			}
			c.MustNext("note")
			proxy.switchTo(urls[1])
			c.MustNext(nodetest.Disconnected)
			waitFor(t, "the state of the socket is stored", func() string {
				if client.holds(t, keys.states, func(state string) bool { return isStateOf(state, id) }) {
					return ""
				}
				return "no key has it"
			})
			if err := ours.To(room).Emit("note", 2, []byte{1, 2}); err != nil {
				t.Fatal(err)
			}
			node.Run(t, "/", `nsp.to(args[0]).emit("note", 3); nsp.to("elsewhere").emit("note", 0)`, nil, room)
			waitFor(t, "Node's events are in the stream", func() string {
				all, err := client.XRevRangeN(t.Context(), keys.stream, "+", "-", 20).Result()
				for _, e := range all {
					if data, _ := e.Values["data"].(string); strings.Contains(data, "elsewhere") && strings.Contains(data, `"note",0`) {
						return ""
					}
				}
				return fmt.Sprint("not added: ", err)
			})
			c.Reconnect()
			if st := c.State(); !st.Recovered || st.ID != id {
				t.Errorf("the client resumed as %+v, want the socket %s", st, id)
			}
			if err := ours.To(room).Emit("note", 4); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"2,{\"$binary\":\"AQI=\"}", "3", "4"} {
				if got := c.MustNext("note").String(); !strings.HasPrefix(got, "["+want) {
					t.Errorf("got the event %s, want %s", got, want)
				}
			}
			if urls[1] == url {
				s := ours.Of("/").Socket(id)
				if s == nil || s.Data().Get("name") != "x" || !s.Recovered() {
					t.Error("the socket's data was not restored on our server")
				}
			} else {
				var name string
				node.Run(t, "/", `return nsp.sockets.get(args[0]).data.name`, &name, id)
				if name != "x" {
					t.Errorf("on Node's server, the socket's data has the name %q, want x", name)
				}
			}
		})
	}
}
