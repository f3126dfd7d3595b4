package client_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/client"
)

func ownClient(transports ...string) nodetest.Options {
	return nodetest.Options{Version: "own", Transports: transports}
}

// The client works with the reference server.
func TestAgainstTheReferenceServer(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	url := n.Serve(t, nil, nil)
	for _, transport := range []string{"websocket", "polling"} {
		t.Run(transport, func(t *testing.T) {
			c := n.Connect(t, url, ownClient(transport))
			if s := c.State(); s.ID == "" || !s.Connected || s.Transport != transport {
				t.Errorf("state after connecting is %+v", s)
			}

			t.Run("acknowledgements both ways", func(t *testing.T) {
				c.Answer("question", "yes", 2)
				if got, want := c.MustCall("ask", "question", 1).String(), `[null,"yes",2]`; got != want {
					t.Errorf("answer is %s, want %s", got, want)
				}
				if got := c.MustNext("question").String(); got != "[1]" {
					t.Errorf("server asked %s", got)
				}
			})
			t.Run("binary both ways", func(t *testing.T) {
				nested := map[string]any{"a": []any{nodetest.Binary("\x00\xff"), "text", nil}}
				want := `[{"$binary":"AAEC"},{"a":[{"$binary":"AP8="},"text",null]},{"$binary":""}]`
				args := []any{[]byte{0, 1, 2}, nested, []byte{}}
				if got := c.MustCall("echo", args...).String(); got != want {
					t.Errorf("answer is %s, want %s", got, want)
				}
				c.Emit("back", append([]any{"returned"}, args...)...)
				if got := c.MustNext("returned").String(); got != want {
					t.Errorf("event has %s, want %s", got, want)
				}
			})
			t.Run("text", func(t *testing.T) {
				const odd = "\u2028 \x1e \"quoted\" \\ \x00 😀 /,[1-{"
				var got string
				c.MustCall("echo", odd).Bind(t, &got)
				if got != odd {
					t.Errorf("echo returned %q", got)
				}
			})
			t.Run("order", func(t *testing.T) {
				for i := range 50 {
					c.Emit("back", "number", i)
				}
				for i := range 50 {
					var got int
					if c.MustNext("number").Bind(t, &got); got != i {
						t.Fatalf("event %d has number %d", i, got)
					}
				}
			})
			c.Close()
			if got := c.MustNext(nodetest.Disconnected).String(); got != `["io client disconnect"]` {
				t.Errorf("disconnect reason is %s", got)
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
		o := ownClient(transport)
		o.Auth, o.Query, o.Cookie = map[string]string{"who": "me"}, map[string]string{"q": "x y&z"}, "a=1"
		var got struct {
			Auth, Query map[string]string
			Cookie      string
		}
		n.Connect(t, url, o).MustCall("handshake").Bind(t, &got)
		if got.Auth["who"] != "me" || got.Query["q"] != "x y&z" || got.Cookie != "a=1" {
			t.Errorf("server received %+v over %s", got, transport)
		}
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	url := n.Serve(t, nil, nil)
	chat := n.Connect(t, url+"/chat", ownClient())
	root := chat.Of("/", nil)
	if a, b := chat.State().ID, root.State().ID; a == b || a == "" || b == "" {
		t.Errorf("the namespaces have the IDs %q and %q, want two different ones", a, b)
	}
	root.MustCall("echo")

	refused := chat.DialOf("/admin", nil)
	var why struct {
		Message string
		Data    struct{ Code int }
	}
	refused.MustNext(nodetest.ConnectError).Bind(t, &why)
	if why.Message != "not authorized" || why.Data.Code != 7 {
		t.Errorf("connect_error is %+v", why)
	}
	refused.SetAuth(map[string]string{"token": "let me in"})
	refused.Reconnect()

	unknown := chat.DialOf("/nowhere", nil)
	if got := unknown.MustNext(nodetest.ConnectError).String(); !strings.Contains(got, "Invalid namespace") {
		t.Errorf("connect_error of an unknown namespace is %s", got)
	}

	root.Emit("leave")
	if got := root.MustNext(nodetest.Disconnected).String(); got != `["io server disconnect"]` {
		t.Errorf("disconnect reason is %s", got)
	}
	chat.MustCall("echo") // still connected
}

// A socket that disconnects before the answer to its CONNECT, and connects again, must not
// send a second CONNECT: servers close the connection of a client that does.
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
		await null; // the CONNECT has been sent
		chat.disconnect().connect();
		await new Promise((done) => chat.once("connect", done));
		chat.disconnect();
		await root.emitWithAck("echo"); // the reference server needs time between disconnect and connect
		const again = root.of("/chat");
		await null;
		again.disconnect(); // for good: the client sends a DISCONNECT when the answer arrives
		await root.emitWithAck("echo", 1);
		return root.id && !again.connected ? "fine" : "lost";
	`, nil, &got)
	if got != "fine" || page.Waiting("error") > 0 {
		t.Errorf("got %q with %d page errors", got, page.Waiting("error"))
	}
}

func TestComesBack(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	url := n.Serve(t, nil, nil)
	for _, transport := range []string{"websocket", "polling"} {
		t.Run(transport, func(t *testing.T) {
			o := ownClient(transport)
			o.Reconnect = true
			c := n.Connect(t, url, o)
			before := c.State().ID
			c.Emit("drop")
			if got := c.MustNext(nodetest.Disconnected).String(); got != `["transport close"]` {
				t.Errorf("disconnect reason is %s", got)
			}
			c.Emit("back", "kept", 1) // buffered until the client has reconnected
			c.MustNext(nodetest.Connected)
			c.MustNext("kept")
			if after := c.State().ID; after == before || after == "" {
				t.Errorf("ID is %q after reconnecting, was %q", after, before)
			}
		})
	}
}

// An acknowledgement that can no longer arrive fails at once.
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
		await socket.emitWithAck("echo"); // answered after the three events
		socket.off("e", twice).off("*");
		socket.emit("echo", 5, (n) => { throw new Error("a callback's own " + n); });
		socket.emit("back", "e", 4);
		await socket.emitWithAck("echo");
		return heard.join(" ");
	`, nil, &got)
	if want := "e1 on1 once1 e2 on2 f3 f"; got != want {
		t.Errorf("listeners recorded %q, want %q", got, want)
	}
	for _, want := range []string{"Error: a listener's own", "Error: a callback's own 5"} {
		if got := page.MustNext("error"); got != want {
			t.Errorf("page error is %q, want %q", got, want)
		}
	}
}

// A disconnect listener may use another socket of the same connection, whose own
// disconnect listeners have not run yet.
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
		await Promise.all([root, chat].map((socket) => socket.emitWithAck("echo", 1))); // both reconnect
		return how;
	`, nil, &got)
	if got != "socket has been disconnected" || page.Waiting("error") > 0 {
		t.Errorf("error is %q, with %d page errors", got, page.Waiting("error"))
	}
}

// The client closes the connection to a server that sends invalid data or no pings.
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
			c := n.Dial(t, n.Script(t, tt.send...), ownClient("websocket"))
			c.MustNext(nodetest.Connected)
			if got := c.MustNext(nodetest.Disconnected).String(); got != `["`+tt.want+`"]` {
				t.Errorf("disconnect reason is %s, want %s", got, tt.want)
			}
		})
	}
}

// The client falls back to polling if the server does not support WebSocket.
func TestFallsBackToPolling(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	c := n.Connect(t, n.Serve(t, map[string]any{"transports": []string{"polling"}}, nil), ownClient())
	if got := c.State().Transport; got != "polling" {
		t.Errorf("transport is %q, want polling", got)
	}
	c.MustCall("echo")
}

func TestConnectErrors(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	c := n.Dial(t, "http://127.0.0.1:1/", ownClient())
	c.MustNext(nodetest.ConnectError)

	url := n.Serve(t, map[string]any{"path": "/elsewhere/"}, nil)
	c = n.Dial(t, url, ownClient("polling"))
	var why struct{ Status int }
	if c.MustNext(nodetest.ConnectError).Bind(t, &why); why.Status != 404 {
		t.Errorf("status is %d, want 404", why.Status)
	}
	o := ownClient()
	o.Path = "/elsewhere/"
	n.Connect(t, url, o)

	o = ownClient()
	o.Reconnect = true
	o.Extra = map[string]any{"reconnectionAttempts": 2}
	c = n.Dial(t, "http://127.0.0.1:1/", o)
	for range 3 { // the first attempt and two more
		c.MustNext(nodetest.ConnectError)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Next(ctx, nodetest.ConnectError); err == nil {
		t.Error("the client tried again after the last attempt")
	}
}

// Events that exceed the limit of one request are sent in several.
func TestLargePollingBodies(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	c := n.Connect(t, n.Serve(t, map[string]any{"maxHttpBufferSize": 3000}, nil), ownClient("polling"))
	text := strings.Repeat("é", 400)
	for i := range 20 {
		c.Emit("back", "large", i, text)
	}
	for i := range 20 {
		var got int
		if c.MustNext("large").Bind(t, &got); got != i {
			t.Fatalf("event %d has number %d", i, got)
		}
	}
}

// openPage opens a page of the reference server in Chromium. window.connect is the client's
// connect.
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

// The client works in a browser.
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
		// Closing can interrupt a pending poll, and browsers log that as an error. So
		// only WebSocket must be free of errors.
		if transport == "websocket" && page.Waiting("error") > 0 {
			t.Errorf("page error: %s", page.MustNext("error"))
		}
		if got.Transport != transport || len(got.Bytes) != 2 || got.Bytes[1] != 255 || got.Type != "ArrayBuffer" || got.Cookie != "seen=1" {
			t.Errorf("over %s the page received %+v", transport, got)
		}
	}
}

func TestChromiumOffline(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	html := `<!doctype html><p id="state"></p><script type="module">
		import { connect } from "/fiberbridge.mjs";
		const show = (text) => { document.getElementById("state").textContent = text; };
		// The retry delay is a minute, so only the "online" event can reconnect in time.
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
		t.Error("ID is unchanged after reconnecting")
	}
}

func TestETag(t *testing.T) {
	t.Parallel()
	if len(client.Script) == 0 || !strings.HasPrefix(client.ETag, `"`) || len(client.ETag) != 18 {
		t.Errorf("ETag is %s, Script has %d bytes", client.ETag, len(client.Script))
	}
}

// A client on polling that disconnects tells the server at once: its last request still has
// the connection's ID.
func TestPolling_DisconnectReachesTheServer(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	page := n.Browser(t).Open(bridge(t) + "/")
	var got struct {
		Statuses []int
		Bodies   []string
	}
	page.Eval(`
		const { connect } = await import("/socket.io/fiberbridge.mjs");
		const statuses = [], bodies = [], all = [];
		const recorded = (url, init) => {
			const response = fetch(url, init);
			if (init.method === "POST") all.push(response.then((r) => { statuses.push(r.status); bodies.push(init.body); }));
			return response;
		};
		const socket = connect("/", { transports: ["polling"], fetch: recorded });
		await socket.emitWithAck("incr");
		socket.disconnect();
		const last = "41\x1e1"; // it is sent when the post of the event was answered, which can be after the event was
		for (const end = Date.now() + 20000; !bodies.includes(last) && Date.now() < end;) {
			await new Promise((done) => setTimeout(done));
			await Promise.all(all);
		}
		return { statuses, bodies };`, nil, &got)
	if len(got.Bodies) == 0 || got.Bodies[len(got.Bodies)-1] != "41\x1e1" {
		t.Fatalf("the page sent %q, want a disconnect and a close at the end", got.Bodies)
	}
	for i, status := range got.Statuses {
		if status != 200 {
			t.Errorf("the post %q got status %d, want 200", got.Bodies[i], status)
		}
	}
}

// M2: a client that a server refuses with Retry-After comes back after that time, spread over half
// of it. A minute is the most that a server can ask for.
func TestM2_RetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	page := n.Browser(t).Open(bridge(t) + "/")
	for _, tt := range []struct {
		header   string
		min, max float64 // ms
	}{
		{"7", 7000, 10_500},
		{"100000", 60_000, 90_000},
		{"0", 5, 15},
		{"-5", 5, 15},
		{"Fri, 27 Nov 2026 10:00:00 GMT", 5, 15},
		{"", 5, 15},
	} {
		var delays []float64
		page.Eval(`
			const { connect } = await import("/socket.io/fiberbridge.mjs");
			const real = window.setTimeout, delays = [];
			window.setTimeout = (fn, ms, ...more) => {
				if (ms !== 777) delays.push(ms); // the timeout of the handshake
				return real(fn, ms === 777 ? 20000 : 1, ...more);
			};
			const fetch = async () => new Response("{}", { status: 503, headers: arg ? { "Retry-After": arg } : {} });
			const options = { transports: ["polling"], fetch, timeout: 777, reconnectionDelay: 10, reconnectionDelayMax: 10, reconnectionAttempts: 20 };
			const socket = connect("/", options);
			let failed = 0;
			await new Promise((done) => socket.on("connect_error", () => ++failed === 21 && done()));
			window.setTimeout = real;
			return delays;
		`, tt.header, &delays)
		if len(delays) != 20 {
			t.Fatalf("Retry-After %q: %d attempts, want 20", tt.header, len(delays))
		}
		for _, d := range delays {
			if d < tt.min || d > tt.max {
				t.Errorf("Retry-After %q: the client came back after %v ms, want %v to %v", tt.header, d, tt.min, tt.max)
			}
		}
		if spread := slices.Max(delays) - slices.Min(delays); spread < (tt.max-tt.min)/10 {
			t.Errorf("Retry-After %q: the attempts are spread over %v ms only", tt.header, spread)
		}
	}
}
