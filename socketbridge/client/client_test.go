package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/client"
)

func own(transports ...string) nodetest.Options {
	return nodetest.Options{Version: "own", Transports: transports}
}

// The reference server is what the client is measured against.
func TestAgainstTheReferenceServer(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	url := n.Serve(t, nil, nil)
	for _, transport := range []string{"websocket", "polling"} {
		t.Run(transport, func(t *testing.T) {
			c := n.Connect(t, url, own(transport))
			if s := c.State(); s.ID == "" || !s.Connected || s.Transport != transport {
				t.Errorf("connected as %+v", s)
			}

			t.Run("acknowledgements both ways", func(t *testing.T) {
				c.Answer("question", "yes", 2)
				if got, want := c.MustCall("ask", "question", 1).String(), `[null,"yes",2]`; got != want {
					t.Errorf("answered %s, want %s", got, want)
				}
				if got := c.MustNext("question").String(); got != "[1]" {
					t.Errorf("asked %s", got)
				}
			})
			t.Run("binary both ways", func(t *testing.T) {
				nested := map[string]any{"a": []any{nodetest.Binary("\x00\xff"), "text", nil}}
				want := `[{"$binary":"AAEC"},{"a":[{"$binary":"AP8="},"text",null]},{"$binary":""}]`
				args := []any{[]byte{0, 1, 2}, nested, []byte{}}
				if got := c.MustCall("echo", args...).String(); got != want {
					t.Errorf("the answer is %s, want %s", got, want)
				}
				c.Emit("back", append([]any{"returned"}, args...)...)
				if got := c.MustNext("returned").String(); got != want {
					t.Errorf("the event has %s, want %s", got, want)
				}
			})
			t.Run("text", func(t *testing.T) {
				const odd = "\u2028 \x1e \"quoted\" \\ \x00 😀 /,[1-{"
				var got string
				c.MustCall("echo", odd).Bind(t, &got)
				if got != odd {
					t.Errorf("echo gave %q", got)
				}
			})
			t.Run("order", func(t *testing.T) {
				for i := range 50 {
					c.Emit("back", "number", i)
				}
				for i := range 50 {
					var got int
					if c.MustNext("number").Bind(t, &got); got != i {
						t.Fatalf("number %d came as the %dth", got, i)
					}
				}
			})
			c.Close()
			if got := c.MustNext(nodetest.Disconnected).String(); got != `["io client disconnect"]` {
				t.Errorf("disconnected because of %s", got)
			}
			c.Reconnect()
			c.MustCall("echo")
		})
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	url := n.Serve(t, nil, nil)
	for _, transport := range []string{"websocket", "polling"} {
		o := own(transport)
		o.Auth, o.Query, o.Cookie = map[string]string{"who": "me"}, map[string]string{"q": "x y&z"}, "a=1"
		var got struct {
			Auth, Query map[string]string
			Cookie      string
		}
		n.Connect(t, url, o).MustCall("handshake").Bind(t, &got)
		if got.Auth["who"] != "me" || got.Query["q"] != "x y&z" || got.Cookie != "a=1" {
			t.Errorf("over %s the server saw %+v", transport, got)
		}
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	url := n.Serve(t, nil, nil)
	chat := n.Connect(t, url+"/chat", own())
	root := chat.Of("/", nil)
	if a, b := chat.State().ID, root.State().ID; a == b || a == "" || b == "" {
		t.Errorf("the namespaces have the IDs %q and %q", a, b)
	}
	root.MustCall("echo")

	refused := chat.DialOf("/admin", nil)
	var why struct {
		Message string
		Data    struct{ Code int }
	}
	refused.MustNext(nodetest.ConnectError).Bind(t, &why)
	if why.Message != "not authorized" || why.Data.Code != 7 {
		t.Errorf("refused with %+v", why)
	}
	refused.SetAuth(map[string]string{"token": "let me in"})
	refused.Reconnect()

	unknown := chat.DialOf("/nowhere", nil)
	if got := unknown.MustNext(nodetest.ConnectError).String(); !strings.Contains(got, "Invalid namespace") {
		t.Errorf("an unknown namespace is refused with %s", got)
	}

	root.Emit("leave")
	if got := root.MustNext(nodetest.Disconnected).String(); got != `["io server disconnect"]` {
		t.Errorf("disconnected because of %s", got)
	}
	chat.MustCall("echo") // which is still there
}

// A socket that leaves before its CONNECT was answered, and comes back, sends no
// second CONNECT: servers close the connection of a client that does.
func TestLeavingWhileJoining(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	page := openPage(t, n, nil)
	var got string
	page.Eval(`
		const root = window.connect("/");
		await new Promise((done) => root.once("connect", done));
		root.on("disconnect", (reason) => { throw new Error(reason); });
		const chat = root.of("/chat");
		await null; // it has sent its CONNECT
		chat.disconnect().connect();
		await new Promise((done) => chat.once("connect", done));
		chat.disconnect();
		await root.emitWithAck("echo"); // the reference server wants a breath between leaving and joining
		const again = root.of("/chat");
		await null;
		again.disconnect(); // and does not come back: the server is told
		await root.emitWithAck("echo", 1);
		return root.id && !again.connected ? "fine" : "lost";
	`, nil, &got)
	if got != "fine" || page.Waiting("error") > 0 {
		t.Errorf("got %q, and %d errors", got, page.Waiting("error"))
	}
}

func TestComesBack(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	url := n.Serve(t, nil, nil)
	for _, transport := range []string{"websocket", "polling"} {
		t.Run(transport, func(t *testing.T) {
			o := own(transport)
			o.Reconnect = true
			c := n.Connect(t, url, o)
			before := c.State().ID
			c.Emit("drop")
			if got := c.MustNext(nodetest.Disconnected).String(); got != `["transport close"]` {
				t.Errorf("disconnected because of %s", got)
			}
			c.Emit("back", "kept", 1) // waits until there is a connection
			c.MustNext(nodetest.Connected)
			c.MustNext("kept")
			if after := c.State().ID; after == before || after == "" {
				t.Errorf("came back as %q, was %q", after, before)
			}
		})
	}
}

// An acknowledgement that cannot come any more is an error at once.
func TestPendingAcknowledgements(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	page := openPage(t, n, nil)
	var got []string
	page.Eval(`
		const socket = window.connect("/", { reconnectionDelay: 1 });
		const said = (p) => p.then(() => "answered", (error) => error.message);
		const out = [await said(socket.timeout(30).emitWithAck("silent"))];
		const lost = said(socket.emitWithAck("silent"));
		socket.emit("drop");
		out.push(await lost);
		out.push(await new Promise((done) => socket.timeout(30).emit("silent", (error) => done(String(error)))));
		out.push(await new Promise((done) => socket.timeout(5000).emit("echo", 7, (error, n) => done(error + " " + n))));
		try { socket.emit("disconnect"); } catch (error) { out.push(error.message); }
		try { socket.emit("x", new Blob(["a"])); } catch (error) { out.push(error.name); }
		return out;
	`, nil, &got)
	want := []string{"operation has timed out", "socket has been disconnected", "Error: operation has timed out", "null 7",
		`"disconnect" is a reserved event name`, "TypeError"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestListeners(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	page := openPage(t, n, nil)
	var got string
	page.Eval(`
		const socket = window.connect("/");
		const heard = [];
		const twice = (n) => heard.push("on" + n);
		socket.on("e", twice).once("e", (n) => heard.push("once" + n)).on("*", (name, n) => heard.push(name + n));
		socket.on("f", () => { throw new Error("a listener's own"); }).on("f", () => heard.push("f"));
		for (const [name, n] of [["e", 1], ["e", 2], ["f", 3]]) socket.emit("back", name, n);
		await socket.emitWithAck("echo"); // behind the three
		socket.off("e", twice).off("*");
		socket.emit("echo", 5, (n) => { throw new Error("a callback's own " + n); });
		socket.emit("back", "e", 4);
		await socket.emitWithAck("echo");
		return heard.join(" ");
	`, nil, &got)
	if want := "e1 on1 once1 e2 on2 f3 f"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	for _, want := range []string{"Error: a listener's own", "Error: a callback's own 5"} {
		if got := page.MustNext("error"); got != want {
			t.Errorf("the page's error is %q, want %q", got, want)
		}
	}
}

// One socket's listener may use another socket of the same connection, of which
// it is not yet told that it is gone.
func TestSocketsThatEndTogether(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	page := openPage(t, n, nil)
	var got string
	page.Eval(`
		const root = window.connect("/", { reconnectionDelay: 1 });
		const chat = root.of("/chat");
		await Promise.all([root, chat].map((socket) => new Promise((done) => socket.once("connect", done))));
		const lost = new Promise((done) => root.once("disconnect", () => {
			chat.emit("echo", 1);
			chat.emitWithAck("echo", 1).catch((error) => done(error.message));
		}));
		root.emit("drop");
		const how = await lost;
		await Promise.all([root, chat].map((socket) => socket.emitWithAck("echo", 1))); // both come back
		return how;
	`, nil, &got)
	if got != "socket has been disconnected" || page.Waiting("error") > 0 {
		t.Errorf("the answer is %q, and there are %d errors", got, page.Waiting("error"))
	}
}

// A server that cannot be understood, or that has gone silent, is left.
func TestBadServers(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	const open = `0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`
	const connect = `40{"sid":"x"}`
	for _, tt := range []struct {
		name string
		send []any
		want string
	}{
		{"no ping", []any{strings.Replace(strings.Replace(open, "25000", "20", 1), "20000", "20", 1), connect}, "ping timeout"},
		{"unknown engine packet", []any{open, connect, "9"}, "parse error"},
		{"unknown packet", []any{open, connect, "49"}, "parse error"},
		{"event without array", []any{open, connect, `42{"a":1}`}, "parse error"},
		{"broken JSON", []any{open, connect, `42["a"`}, "parse error"},
		{"attachments of a text event", []any{open, connect, `421-["a"]`}, "parse error"},
		{"no attachments of a binary event", []any{open, connect, `450-["a"]`}, "parse error"},
		{"binary out of turn", []any{open, connect, []byte("x")}, "parse error"},
		{"text out of turn", []any{open, connect, `451-["a",{"_placeholder":true,"num":0}]`, `42["b"]`}, "parse error"},
		{"placeholder out of range", []any{open, connect, `451-["a",{"_placeholder":true,"num":1}]`, []byte("x")}, "parse error"},
		{"placeholder of a wrong type", []any{open, connect, `451-["a",{"_placeholder":true,"num":"0"}]`, []byte("x")}, "parse error"},
		{"close", []any{open, connect, "1"}, "transport close"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := n.Dial(t, n.Script(t, tt.send...), own("websocket"))
			c.MustNext(nodetest.Connected)
			if got := c.MustNext(nodetest.Disconnected).String(); got != `["`+tt.want+`"]` {
				t.Errorf("disconnected because of %s, want %s", got, tt.want)
			}
		})
	}
}

// Without a WebSocket the client polls.
func TestFallsBackToPolling(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	c := n.Connect(t, n.Serve(t, map[string]any{"transports": []string{"polling"}}, nil), own())
	if got := c.State().Transport; got != "polling" {
		t.Errorf("connected over %q", got)
	}
	c.MustCall("echo")
}

func TestConnectErrors(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	c := n.Dial(t, "http://127.0.0.1:1/", own())
	c.MustNext(nodetest.ConnectError)

	url := n.Serve(t, map[string]any{"path": "/elsewhere/"}, nil)
	c = n.Dial(t, url, own("polling"))
	var why struct{ Status int }
	if c.MustNext(nodetest.ConnectError).Bind(t, &why); why.Status != 404 {
		t.Errorf("the status is %d", why.Status)
	}
	o := own()
	o.Path = "/elsewhere/"
	n.Connect(t, url, o)

	o = own()
	o.Reconnect = true
	o.Extra = map[string]any{"reconnectionAttempts": 2}
	c = n.Dial(t, "http://127.0.0.1:1/", o)
	for range 3 { // the first and two more
		c.MustNext(nodetest.ConnectError)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Next(ctx, nodetest.ConnectError); err == nil {
		t.Error("it tried again after the last attempt")
	}
}

// What cannot be put into one request is sent in several.
func TestLargePollingBodies(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	c := n.Connect(t, n.Serve(t, map[string]any{"maxHttpBufferSize": 3000}, nil), own("polling"))
	text := strings.Repeat("é", 400)
	for i := range 20 {
		c.Emit("back", "large", i, text)
	}
	for i := range 20 {
		var got int
		if c.MustNext("large").Bind(t, &got); got != i {
			t.Fatalf("%d came as the %dth", got, i)
		}
	}
}

// openPage opens a page of the reference server in Chromium, with the client's
// connect in window.
func openPage(t *testing.T, n *nodetest.Node, options map[string]any) *nodetest.Page {
	t.Helper()
	html := `<!doctype html><title>t</title><script type="module">
		import { connect } from "/fiberbridge.mjs";
		window.connect = connect;
	</script>`
	script := string(client.Script)
	url := n.Serve(t, options, map[string]nodetest.File{
		"/":                {Type: "text/html", Body: &html},
		"/fiberbridge.mjs": {Type: "text/javascript", Body: &script},
	})
	return n.Browser(t).Open(url + "/")
}

// In the browser that it is made for.
func TestChromium(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	page := openPage(t, n, nil)
	for _, transport := range []string{"websocket", "polling"} {
		var got struct {
			Transport string
			Bytes     []int
			Type      string
			Cookie    string
		}
		page.Eval(`
			document.cookie = "seen=1";
			const socket = window.connect("/chat", { transports: [arg] });
			await new Promise((done) => socket.on("connect", done));
			const transport = socket.transport;
			const back = await socket.emitWithAck("echo", new Uint8Array([1, 2, 255]).subarray(1));
			const { cookie } = await socket.emitWithAck("handshake");
			socket.disconnect();
			return { transport, bytes: [...new Uint8Array(back)], type: back.constructor.name, cookie };
		`, transport, &got)
		// A poll that is on its way may find its connection closed by the goodbye,
		// which browsers log; so this is asked of the WebSocket only.
		if transport == "websocket" && page.Waiting("error") > 0 {
			t.Errorf("the page has the error %s", page.MustNext("error"))
		}
		if got.Transport != transport || len(got.Bytes) != 2 || got.Bytes[1] != 255 || got.Type != "ArrayBuffer" || got.Cookie != "seen=1" {
			t.Errorf("over %s the page got %+v", transport, got)
		}
	}
}

func TestChromiumOffline(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	html := `<!doctype html><p id="state"></p><script type="module">
		import { connect } from "/fiberbridge.mjs";
		const show = (text) => { document.getElementById("state").textContent = text; };
		// Waiting would take a minute: it is the "online" event that brings it back.
		const socket = connect("/", { reconnectionDelay: 60000, reconnectionDelayMax: 60000, randomizationFactor: 0 });
		socket.on("connect", () => show("here as " + socket.id)).on("disconnect", (reason) => show("gone: " + reason));
	</script>`
	script := string(client.Script)
	url := n.Serve(t, nil, map[string]nodetest.File{
		"/":                {Type: "text/html", Body: &html},
		"/fiberbridge.mjs": {Type: "text/javascript", Body: &script},
	})
	b := n.Browser(t)
	page := b.Open(url + "/")
	before := page.WaitText("#state", "here")
	b.SetOffline(true)
	page.WaitText("#state", "gone: transport close")
	b.SetOffline(false)
	if after := page.WaitText("#state", "here"); after == before {
		t.Error("it came back as the same socket")
	}
}

func TestETag(t *testing.T) {
	t.Parallel()
	if len(client.Script) == 0 || !strings.HasPrefix(client.ETag, `"`) || len(client.ETag) != 18 {
		t.Errorf("ETag %s of %d bytes", client.ETag, len(client.Script))
	}
}
