package socketbridge_test

import (
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestS2_RelayToOfficialClients sends a client's arguments on to it and to others, with
// binary data inside objects.
func TestS2_RelayToOfficialClients(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).serve()
	s.io.On("relay", func(p *socketbridge.Packet) error {
		if err := p.Socket().Emit("emitted", p.Values()...); err != nil {
			return err
		}
		if err := p.Socket().Broadcast().Emit("broadcast", p.Values()...); err != nil {
			return err
		}
		wrapped := struct {
			From string               `json:"from"`
			Body []socketbridge.Value `json:"body"`
		}{From: "server"}
		for _, v := range p.Values() {
			wrapped.Body = append(wrapped.Body, v.(socketbridge.Value))
		}
		if err := p.Socket().Emit("wrapped", wrapped); err != nil {
			return err
		}
		return p.Ack(p.Values()...)
	})
	s.io.On("ask", func(p *socketbridge.Packet) error {
		a, err := p.Socket().EmitWithAck(p.Context(), "question", p.Values()...)
		if err != nil {
			return err
		}
		return p.Ack(a.Values()...)
	})
	arg := map[string]any{"name": "x.png", "data": nodetest.Binary("\x00\xff"), "more": []any{nodetest.Binary("two"), 3}}
	const want = `[{"data":{"$binary":"AP8="},"more":[{"$binary":"dHdv"},3],"name":"x.png"},{"$binary":"ZW5k"}]`
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			other := n.Connect(t, s.url, byWebSocket)
			defer other.Close()
			c := n.Connect(t, s.url, o)
			defer c.Close()
			equal(t, "answer", c.MustCall("relay", arg, nodetest.Binary("end")).String(), want)
			equal(t, "emitted", c.MustNext("emitted").String(), want)
			equal(t, "broadcast", other.MustNext("broadcast").String(), want)
			equal(t, "wrapped", c.MustNext("wrapped").String(), `[{"from":"server","body":`+want+`}]`)
			c.Answer("question", nodetest.Binary("yes"), map[string]any{"b": nodetest.Binary("b"), "a": 1})
			equal(t, "relayed answer", c.MustCall("ask", arg).String(), `[{"$binary":"eWVz"},{"a":1,"b":{"$binary":"Yg=="}}]`)
			equal(t, "relayed question", c.MustNext("question").String(), `[{"data":{"$binary":"AP8="},"more":[{"$binary":"dHdv"},3],"name":"x.png"}]`)
		})
	}
}

// TestS2_RelayBetweenNodes sends arguments on, byte for byte, over a cluster: as a broadcast,
// as a server-side event and its answer, to a RemoteSocket, and as the answer of a socket on
// another node.
func TestS2_RelayBetweenNodes(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 2, socketbridge.Config{})
	peers := joinEachNode(t, nodes)
	nodes[1].OnServerSideEmit("side", func(e *socketbridge.ServerEvent) {
		if err := e.Ack(e.Values()...); err != nil {
			t.Error(err)
		}
	})
	nodes[0].On("relay", func(p *socketbridge.Packet) error {
		return p.Socket().Broadcast().Emit("broadcast", p.Values()...)
	})
	nodes[0].On("side", func(p *socketbridge.Packet) error {
		all, err := nodes[0].ServerSideEmitWithAck(p.Context(), "side", p.Values()...)
		if err != nil || len(all) != 1 {
			return fmt.Errorf("%d answers, error %w", len(all), err)
		}
		return p.Ack(all[0].Values()...)
	})
	nodes[0].On("remote", func(p *socketbridge.Packet) error {
		all, err := nodes[0].To("1").FetchSockets(p.Context())
		if err != nil || len(all) != 1 {
			return fmt.Errorf("%d sockets, error %w", len(all), err)
		}
		a, err := all[0].EmitWithAck(p.Context(), "asked", p.Values()...)
		if err != nil {
			return err
		}
		return p.Ack(a.Values()...)
	})
	const args = `{ "z":1.50, "a":{"_placeholder":true,"num":0} }`
	send := func(c *peer, text string) {
		t.Helper()
		c.send(text)
		if err := c.conn.Binary([]byte("binary")); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(c *peer, text string) {
		t.Helper()
		c.expect(text)
		if m := c.nextMessage(); !m.Binary || string(m.Data) != "binary" {
			t.Fatalf("got %q, want the binary data", m.Data)
		}
	}
	send(peers[0], `51-["relay",`+args+`]`)
	expect(peers[1], `51-["broadcast",`+args+`]`)
	send(peers[0], `51-7["side",`+args+`]`)
	expect(peers[0], `61-7[`+args+`]`)
	send(peers[0], `51-8["remote",`+args+`]`)
	expect(peers[1], `51-1["asked",`+args+`]`)
	send(peers[1], `61-1[`+args+`]`)
	expect(peers[0], `61-8[`+args+`]`)
}

// TestS2_ValueOutlivesItsPacket keeps a Value after the handler, while the connection's next
// message overwrites the buffer of the transport.
func TestS2_ValueOutlivesItsPacket(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	kept := make(chan []any, 1)
	io.On("keep", func(p *socketbridge.Packet) error { kept <- p.Values(); return nil })
	io.On("set", func(p *socketbridge.Packet) error {
		var v struct {
			B, A socketbridge.Value
			N    int
		}
		if err := p.Bind(&v); err != nil {
			return err
		}
		return p.Ack(v.A, v.B, v.N)
	})
	c := join(t, io, "/")
	text, binary := []byte(`51-["keep",{"b":1,"a":{"_placeholder":true,"num":0}}]`), []byte("binary")
	if err := c.conn.Text(string(text)); err != nil {
		t.Fatal(err)
	}
	if err := c.conn.Binary(binary); err != nil {
		t.Fatal(err)
	}
	values := <-kept
	clear(binary)
	c.send(`29["set",{"B":{"y":1,"x":2},"A":[ "b" , "a" ],"N":3}]`)
	c.expect(`39[[ "b" , "a" ],{"y":1,"x":2},3]`)
	if err := io.Emit("kept", values...); err != nil {
		t.Fatal(err)
	}
	c.expect(`51-["kept",{"b":1,"a":{"_placeholder":true,"num":0}}]`)
	if m := c.nextMessage(); string(m.Data) != "binary" {
		t.Errorf("the binary data is %q", m.Data)
	}
	var v struct{ A []byte }
	if err := values[0].(socketbridge.Value).Bind(&v); err != nil || string(v.A) != "binary" {
		t.Errorf("Bind: %q, error %v", v.A, err)
	}
}
