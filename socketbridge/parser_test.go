package socketbridge_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// msgpackOptions are options of the official client with its MessagePack parser.
func msgpackOptions() map[string]nodetest.Options {
	all := clientOptions()
	for name, o := range all {
		o.Extra = map[string]any{"parser": "msgpack"}
		all[name] = o
	}
	return all
}

// TestS2_MsgpackParser uses all kinds of packets with the official client and its
// MessagePack parser.
func TestS2_MsgpackParser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{bridge: socketbridge.Config{Parser: socketbridge.MsgpackParser}}).counter().serve()
	s.io.On("echo", func(p *socketbridge.Packet) error { return p.Ack(p.Values()...) })
	s.io.On("types", func(p *socketbridge.Packet) error {
		var v struct {
			N    int
			F    float64
			S    string
			B    []byte
			List []any
			When time.Time
		}
		if err := p.Bind(&v); err != nil {
			return err
		}
		return p.Ack(fmt.Sprintf("%d %v %s %s %v %s", v.N, v.F, v.S, v.B, v.List, v.When.Format(time.RFC3339)), v.B)
	})
	s.io.On("ask", func(p *socketbridge.Packet) error {
		a, err := p.Socket().EmitWithAck(p.Context(), "question", []byte("q"), map[string]any{"b": []byte("in")})
		if err != nil {
			return err
		}
		return p.Ack(a.Values()...)
	})
	s.io.On("broadcast", func(p *socketbridge.Packet) error {
		return s.io.Emit("news", append([]any{"all"}, p.Values()...)...)
	})
	s.io.On("leave", func(p *socketbridge.Packet) error { p.Socket().Disconnect(); return nil })
	s.io.On("fail", func(*socketbridge.Packet) error { return fmt.Errorf("secret") })
	admin := s.io.Of("/admin")
	admin.Use(func(c *socketbridge.Connect) error {
		var auth struct{ Token string }
		if c.Auth(&auth) != nil || auth.Token != "good" {
			return &socketbridge.ConnectError{Message: "no", Data: map[string]any{"why": "token"}}
		}
		return c.Next()
	})
	admin.On("echo", func(p *socketbridge.Packet) error { return p.Ack(p.Values()...) })
	long := strings.Repeat("é", 70_000)
	for name, o := range msgpackOptions() {
		t.Run(name, func(t *testing.T) {
			c := n.Connect(t, s.url, o)
			defer c.Close()
			for _, args := range [][]any{
				{}, {nil}, {1, -1, 1.5, 1e15, -1e9, 300, 70000, true, "", long},
				{map[string]any{"z": []any{map[string]any{"a": nil}}, "y": nodetest.Binary("\x00\xff"), "x": []any{nodetest.Binary("two"), nodetest.Binary(nil)}}},
				{map[string]any{"_placeholder": true, "num": 0}},
			} {
				equal(t, "echo", c.MustCall("echo", args...).String(), nodeArgs(args))
			}
			equal(t, "types", c.MustCall("types", map[string]any{
				"N": 7, "F": 2.5, "S": "s", "B": nodetest.Binary("bin"), "List": []any{1, "x"}, "When": "2026-11-27T00:00:00.000Z",
			}).String(), `["7 2.5 s bin [1 x] 2026-11-27T00:00:00Z",{"$binary":"Ymlu"}]`)
			equal(t, "an error", call(t, c, "fail"), `{"error":{"code":"internal_error","message":"internal error"}}`)
			equal(t, "the session", call(t, c, "incr"), `1`)
			c.Answer("question", "yes", nodetest.Binary("a"))
			equal(t, "an answer of the client", c.MustCall("ask").String(), `["yes",{"$binary":"YQ=="}]`)
			equal(t, "question", c.MustNext("question").String(), `[{"$binary":"cQ=="},{"b":{"$binary":"aW4="}}]`)
			other := n.Connect(t, s.url, o)
			c.Emit("broadcast", nodetest.Binary("b"))
			for _, to := range []*nodetest.Client{c, other} {
				equal(t, "broadcast", to.MustNext("news").String(), `["all",{"$binary":"Yg=="}]`)
			}
			other.Close()

			refused := c.DialOf("/admin", map[string]any{"token": "bad"})
			if got := refused.MustNext(nodetest.ConnectError).String(); !strings.Contains(got, `"message":"no"`) || !strings.Contains(got, `"why":"token"`) {
				t.Errorf("refused with %s", got)
			}
			unknown := c.DialOf("/unknown", nil)
			if got := unknown.MustNext(nodetest.ConnectError).String(); !strings.Contains(got, "Invalid namespace") {
				t.Errorf("refused with %s", got)
			}
			second := n.Connect(t, s.url+"/admin", with(o, map[string]any{"token": "good"}))
			equal(t, "another namespace", call(t, second, "echo", 5), `5`)
			second.Close()

			var many, binary []any
			for range 65 {
				many, binary = append(many, 1), append(binary, nodetest.Binary("b"))
			}
			equal(t, "too many arguments", call(t, c, "echo", many...), `{"error":{"code":"bad_arguments","message":"more than 64 arguments"}}`)
			equal(t, "too many attachments", call(t, c, "echo", binary[:11]...), `{"error":{"code":"bad_arguments","message":"more than 10 binary attachments"}}`)
			equal(t, "a look-alike", call(t, c, "echo", nodetest.Binary("b"), map[string]any{"_placeholder": true, "num": 0}),
				`{"error":{"code":"bad_arguments","message":"an object that looks like the placeholder of a binary attachment"}}`)
			equal(t, "an event named by a number", call(t, c, "echo", 6), `6`)
			c.Emit("leave")
			equal(t, "the end", c.MustNext(nodetest.Disconnected).String(), `["io server disconnect"]`)
		})
	}
}

func with(o nodetest.Options, auth any) nodetest.Options {
	o.Auth = auth
	return o
}

// nodeArgs is what nodetest.Args.String returns for args.
func nodeArgs(args []any) string {
	all := make(nodetest.Args, len(args))
	for i, arg := range args {
		all[i] = mustJSON(arg)
	}
	return all.String()
}

func mustJSON(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// TestS2_MsgpackRecovery reconnects a client with the MessagePack parser, which gets the
// events that it missed.
func TestS2_MsgpackRecovery(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{bridge: socketbridge.Config{
		Parser: socketbridge.MsgpackParser, Recovery: socketbridge.Recovery{Window: time.Minute},
	}}).counter().serve()
	a := s.agent()
	a.post("/incr") // recovery is bound to the session
	o := byWebSocket
	o.Extra, o.Reconnect = map[string]any{"parser": "msgpack"}, true
	c := a.connect(n, "/", o)
	defer c.Close()
	if err := s.io.Emit("first", []byte("1")); err != nil {
		t.Fatal(err)
	}
	c.MustNext("first")
	c.Cut()
	c.MustNext(nodetest.Disconnected)
	if err := s.io.Emit("missed", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if got := c.MustNext(nodetest.Connected).String(); !strings.Contains(got, `"recovered":true`) {
		t.Errorf("reconnected with %s, want recovered", got)
	}
	if got := c.MustNext("missed").String(); !strings.HasPrefix(got, `[{"$binary":"Mg=="}`) {
		t.Errorf("got %s", got)
	}
}

// TestS2_AnotherParserIsRefusedInWords connects clients with the wrong parser, both ways
// round. They get a code and advice, and the log names the setting once.
func TestS2_AnotherParserIsRefusedInWords(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for _, tt := range []struct {
		name    string
		parser  socketbridge.Parser
		options map[string]nodetest.Options
		advice  string
		log     string
	}{
		{"default client", socketbridge.MsgpackParser, clientOptions(), "pass it as the client's parser option", "it uses the default parser, but Config.Parser is MsgpackParser"},
		{"MessagePack client", socketbridge.JSONParser, msgpackOptions(), "remove the client's parser option", "it uses socket.io-msgpack-parser, but Config.Parser is JSONParser"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			s := newSite(t, options{log: slog.New(slog.NewTextHandler(&log, nil)), bridge: socketbridge.Config{Parser: tt.parser}})
			s.io.Of("/chat")
			s.serve()
			for name, o := range tt.options {
				for _, namespace := range []string{"", "/chat"} {
					c := n.Dial(t, s.url+namespace, o)
					got := c.MustNext(nodetest.ConnectError).String()
					if !strings.Contains(got, tt.advice) || !strings.Contains(got, `"code":"wrong_parser"`) {
						t.Errorf("%s%s: refused with %s", name, namespace, got)
					}
					c.Close()
				}
			}
			if s.io.Stats().Notices["wrong_parser"] == 0 {
				t.Error("the refusals are not counted")
			}
			if count := strings.Count(log.String(), tt.log); count != 1 {
				t.Errorf("the reason is logged %d times, want once:\n%s", count, log.String())
			}
		})
	}
}

// TestS2_OtherParserIsBounded checks that nothing but a CONNECT in the other encoding is
// answered.
func TestS2_OtherParserIsBounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		parser socketbridge.Parser
		m      transport.Message
	}{
		"text":                {socketbridge.MsgpackParser, transport.Message{Data: []byte("hello")}},
		"event as text":       {socketbridge.MsgpackParser, transport.Message{Data: []byte(`2["e"]`)}},
		"attachment":          {socketbridge.JSONParser, transport.Message{Binary: true, Data: []byte("x")}},
		"event in binary":     {socketbridge.JSONParser, transport.Message{Binary: true, Data: []byte("\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1e")}},
		"malformed in binary": {socketbridge.MsgpackParser, transport.Message{Binary: true, Data: []byte("\x83\xa4type")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, newServer(t, socketbridge.Config{Parser: tt.parser}))
			_ = c.conn.Deliver(tt.m)
			if reason := c.waitForClose(); reason != transport.ParseError {
				t.Errorf("closed with %q, want %q", reason, transport.ParseError)
			}
			if sent := c.conn.Sent(); len(sent) > 0 {
				t.Errorf("answered with %q", sent[0].Data)
			}
		})
	}
}

// TestS2_MsgpackBroadcastIsConvertedOnce checks that all connections get the same bytes.
func TestS2_MsgpackBroadcastIsConvertedOnce(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Parser: socketbridge.MsgpackParser})
	var peers []*peer
	for range 3 {
		c := dial(t, io)
		if err := c.conn.Binary([]byte("\x82\xa4type\x00\xa3nsp\xa1/")); err != nil {
			t.Fatal(err)
		}
		if m := c.nextMessage(); !m.Binary || !strings.HasPrefix(string(m.Data), "\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa3sid") {
			t.Fatalf("CONNECT was answered with %q", m.Data)
		}
		peers = append(peers, c)
	}
	if err := io.Emit("e", []byte("b"), map[string]any{"k": 1}); err != nil {
		t.Fatal(err)
	}
	const want = "\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x93\xa1e\xc4\x01b\x81\xa1k\x01"
	var first *byte
	for _, c := range peers {
		m := c.nextMessage()
		if !m.Binary || string(m.Data) != want {
			t.Fatalf("got %q, want %q", m.Data, want)
		}
		if first == nil {
			first = &m.Data[0]
		} else if first != &m.Data[0] {
			t.Error("the packet was converted for each connection")
		}
	}
}
