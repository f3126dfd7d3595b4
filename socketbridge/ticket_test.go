package socketbridge_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// C9: a ticket brings the session where no cookie is sent, with both official clients and
// on every transport. The socket then belongs to the session like any other.
func TestC9_TicketInsteadOfACookie(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newMembersSite(t, options{storage: url}).serve()
		a := s.loggedIn("ann")
		for way, o := range clientOptions() {
			for _, origin := range []string{"", appOrigin} {
				o.Auth, o.Header = withTicket(a.ticket(origin)), nil
				if origin != "" {
					o.Header = map[string]string{"Origin": origin}
				}
				c := n.Connect(t, s.url+"/members", o)
				equal(t, way+", user", call(t, c, "whoami"), `"ann"`)
				again := n.Dial(t, s.url+"/members", o)
				equal(t, way+", code for a used ticket", waitForRefusal(t, again), "ticket_invalid")
				again.SetAuth(withTicket(a.ticket(origin)))
				again.Reconnect()
				equal(t, way+", user with a new ticket", call(t, again, "whoami"), `"ann"`)
				again.Close()
				c.Close()
			}
		}
		c := n.Connect(t, s.url, nodetest.Options{Auth: withTicket(a.ticket(""))})
		without := c.Of("/other", nil)
		with := c.Of("/members", withTicket(a.ticket("")))
		equal(t, "user in a namespace without a ticket", call(t, without, "whoami"), `""`)
		equal(t, "user in a namespace with its own ticket", call(t, with, "whoami"), `"ann"`)
		a.post("/mine")
		equal(t, "event in the session's room", c.MustNext("mine").String(), "[1]")
		a.post("/logout")
		equal(t, "user after logout", call(t, c, "whoami"), `""`)
		a.post("/login/bob")
		equal(t, "user after login", call(t, c, "whoami"), `"bob"`)
		a.post("/end-all/bob")
		waitForLogout(t, "sockets with a ticket", c, with)
		equal(t, "user of the socket without a ticket", call(t, without, "whoami"), `""`)
		without.Close()
		waitFor(t, "all connections, sessions and handles to be released", func() bool {
			st, sessions := s.io.Stats(), s.sessions.Stats()
			return st.Connections == 0 && st.Sessions == 0 && sessions.Handles == 0
		})
	})
}

// The HTTP handlers for tickets and cookies refuse requests of other pages and sessions.
func TestTicketHandler(t *testing.T) {
	t.Parallel()
	s := newMembersSite(t, options{}).serve()
	a, visitor := s.loggedIn("ann"), s.agent()
	tests := []struct {
		name         string
		who          *agent
		method, path string
		headers      []string
		status       int
		body         string
	}{
		{"a page of the site", a, "POST", "ticket", []string{"Origin", s.url}, 200, `"ticket"`},
		{"no browser", a, "POST", "ticket", nil, 200, `"ticket"`},
		{"an allowed page", a, "POST", "ticket", []string{"Origin", appOrigin}, 200, `"ticket"`},
		{"another page", a, "POST", "ticket", []string{"Origin", "https://evil.example"}, 403, "Forbidden"},
		{"null", a, "POST", "ticket", []string{"Origin", "null"}, 403, "Forbidden"},
		{"cross-site without Origin", a, "POST", "ticket", []string{"Sec-Fetch-Site", "cross-site"}, 403, "Forbidden"},
		{"GET", a, "GET", "ticket", nil, 405, ""},
		{"HEAD", a, "HEAD", "ticket", nil, 405, ""},
		{"preflight", a, "OPTIONS", "ticket", []string{"Origin", appOrigin, "Access-Control-Request-Method", "POST"}, 204, ""},
		{"a visitor", visitor, "POST", "ticket", nil, 401, `"code":"session_missing"`},
		{"an ID never issued", s.agentWith("session", strings.Repeat("A", 43)), "POST", "ticket", nil, 401, `"code":"session_missing"`},
		{"a cookie's fetch by GET", a, "GET", "cookie/x", nil, 405, ""},
		{"no cookie ticket", a, "POST", "cookie/", nil, 403, `"code":"ticket_invalid"`},
		{"a long one", a, "POST", "cookie/" + strings.Repeat("A", 2000), nil, 403, `"code":"ticket_invalid"`},
		{"one never issued", a, "POST", "cookie/" + strings.Repeat("A", 43), nil, 403, `"code":"ticket_invalid"`},
		{"from another page", a, "POST", "cookie/" + strings.Repeat("A", 43), []string{"Origin", "https://evil.example"}, 403, "Forbidden"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := tt.who.ask(tt.method, "/socket.io/"+tt.path, tt.headers...)
			if res.StatusCode != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("got status %d and body %s, want %d and %s", res.StatusCode, body, tt.status, tt.body)
			}
			if got := res.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("got Cache-Control %q, want no-store", got)
			}
			if len(res.Cookies()) > 0 {
				t.Errorf("got cookies %v, want none", res.Cookies())
			}
		})
	}
	equal(t, "user after all requests", a.get("/who"), "ann")
}

// Invalid credentials each get a stable code, are logged without secrets, and do not
// affect other clients.
func TestBadInput_Identity(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	flaky := faulty.New(memory.New(), nil)
	t.Cleanup(func() { _ = flaky.Close() })
	var log testlog.Log
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := newMembersSite(t, options{log: logger, sessions: fibersession.Config{Storage: flaky, Cookie: fibersession.Cookie{Secrets: [][]byte{secret(1)}}}}).serve()
	hasty := newMembersSite(t, options{sessions: fibersession.Config{Storage: flaky, Cookie: fibersession.Cookie{Secrets: [][]byte{secret(1)}}, Timeouts: fibersession.Timeouts{Ticket: time.Millisecond}}}).serve()
	a, bob := s.loggedIn("ann"), s.loggedIn("bob")
	bystanders := []*nodetest.Client{
		bob.connect(n, "/members", nodetest.Options{Transports: []string{"polling"}}),
		bob.connect(n, "/members", nodetest.Options{Transports: []string{"websocket"}}),
		n.Connect(t, s.url+"/members", nodetest.Options{Auth: withTicket(bob.ticket(""))}),
	}
	value := a.sessionID()
	id, sig, _ := strings.Cut(value, ".")
	used := a.ticket("")
	n.Connect(t, s.url+"/members", nodetest.Options{Auth: withTicket(used)}).Close()
	ended := s.loggedIn("eve")
	ofEnded := ended.ticket("")
	ended.post("/end-all/eve")
	moved := s.loggedIn("fay")
	ofMoved := moved.ticket("")
	moved.post("/login/fay")
	late := a.onSite(hasty).ticket("")
	cookie := func(v string) nodetest.Options { return nodetest.Options{Cookie: "session=" + v} }
	ticket := func(v any) nodetest.Options { return nodetest.Options{Auth: withTicket(v), Cookie: "session=" + value} }
	foreign := ticket(a.ticket(""))
	foreign.Header = map[string]string{"Origin": appOrigin}
	tests := map[string]struct {
		o    nodetest.Options
		code string
	}{
		"a forged signature":        {cookie(id + "." + strings.Repeat("A", 43)), "session_missing"},
		"one wrong bit":             {cookie(id + "." + flipBit(sig)), "session_missing"},
		"no signature":              {cookie(id), "session_missing"},
		"an ID never issued":        {cookie(strings.Repeat("A", 43) + "." + sig), "session_missing"},
		"two cookies":               {nodetest.Options{Cookie: "session=" + value + "; session=x"}, "session_missing"},
		"a session that ended":      {cookie(ended.sessionID()), "session_missing"},
		"no cookie":                 {nodetest.Options{}, "session_missing"},
		"a ticket of null":          {nodetest.Options{Auth: withTicket(nil)}, "session_missing"},
		"a ticket used twice":       {ticket(used), "ticket_invalid"},
		"an expired ticket":         {ticket(late), "ticket_invalid"},
		"of another origin":         {foreign, "ticket_invalid"},
		"for another origin":        {ticket(a.ticket(appOrigin)), "ticket_invalid"},
		"of a session that ended":   {ticket(ofEnded), "ticket_invalid"},
		"from before a login":       {ticket(ofMoved), "ticket_invalid"},
		"a ticket never issued":     {ticket(strings.Repeat("A", 43)), "ticket_invalid"},
		"an ID for a ticket":        {ticket(id), "ticket_invalid"},
		"an empty ticket":           {ticket(""), "ticket_invalid"},
		"a number":                  {ticket(7), "ticket_invalid"},
		"an object":                 {ticket(map[string]any{"a": 1}), "ticket_invalid"},
		"900 kB":                    {ticket(strings.Repeat("A", 900_000)), "bad_arguments"},
		"900 kB of numbers":         {ticket(make([]int, 400_000)), "bad_arguments"},
		"7 kB of numbers":           {ticket(make([]int, 3_500)), "ticket_invalid"},
		"not UTF-8 and not base64?": {ticket("\u0000\ufffd" + strings.Repeat("é", 20)), "ticket_invalid"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, transport := range []string{"polling", "websocket"} {
				o := tt.o
				o.Transports = []string{transport}
				equal(t, transport, waitForRefusal(t, n.Dial(t, s.url+"/members", o)), tt.code)
				if len(tt.o.Header) > 0 {
					break // the ticket can be used once
				}
			}
		})
	}
	t.Run("larger than a message may be", func(t *testing.T) {
		o := ticket(strings.Repeat("A", 2_000_000))
		for _, transport := range []string{"polling", "websocket"} {
			o.Transports = []string{transport}
			c := n.Dial(t, s.url+"/members", o)
			waitFor(t, "the connection to be closed", func() bool { return !c.State().Connected && s.io.Stats().Connections == len(bystanders) })
		}
	})
	t.Run("the store fails", func(t *testing.T) {
		good := a.ticket("")
		flaky.SetPlan(func(c faulty.Call) faulty.Fault {
			if strings.Contains(c.Key, ":t:") {
				return faulty.Fault{Fail: errors.New("unavailable")}
			}
			return faulty.Fault{}
		})
		equal(t, "code for a ticket", waitForRefusal(t, n.Dial(t, s.url+"/members", ticket(good))), "session_unavailable")
		res, body := a.ask("POST", "/socket.io/ticket")
		if res.StatusCode != 503 || !strings.Contains(body, "session_unavailable") {
			t.Errorf("fetching a ticket: got status %d and body %s, want 503 and session_unavailable", res.StatusCode, body)
		}
		flaky.SetPlan(nil)
		equal(t, "user with the ticket after the store recovered", call(t, n.Connect(t, s.url+"/members", ticket(good)), "whoami"), `"ann"`)
	})
	for i, c := range bystanders {
		equal(t, "user of a bystander", call(t, c, "whoami"), `"bob"`)
		if c.Waiting(nodetest.Disconnected) > 0 || c.Waiting(nodetest.ConnectError) > 0 {
			t.Errorf("bystander %d was disconnected", i)
		}
	}
	text := log.String()
	for what, s := range map[string]string{"ID": id, "signature": sig, "used ticket": used, "late ticket": late, "ended": ofEnded, "1 MB": strings.Repeat("A", 43)} {
		if strings.Contains(text, s) {
			t.Errorf("the log contains the %s", what)
		}
	}
	for _, cause := range []string{"it was used before", "it is unknown", "another origin", "there is no session for it", "wrong signature"} {
		if !strings.Contains(text, cause) {
			t.Errorf("the log does not contain the cause %q", cause)
		}
	}
}

func flipBit(s string) string { return string(s[0]^1) + s[1:] }

// newTwoOriginSite is newMembersSite for a browser that knows the site as two origins, 127.0.0.1 and
// localhost. Pages of the first may connect to the second, to which no cookie is sent.
func newTwoOriginSite(t *testing.T) (s *site, other string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t)
	o := options{listener: ln}
	o.sessions.UserKey = "user"
	o.bridge.Engine = engineio.ConfigDefault
	o.bridge.Engine.AllowOrigins = []string{"http://" + ln.Addr().String()}
	s = newSite(t, o).users()
	s.app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(script) })
	s.app.Get("/", func(c *fiber.Ctx) error {
		return c.Type("html").SendString(`<!doctype html><title>t</title><link rel="icon" href="data:,">
			<script src="/official.js"></script><script src="` + s.io.ScriptURL("classic") + `"></script>`)
	})
	s.app.Get("/who", func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) })
	s.io.On("cut", func(p *socketbridge.Packet) error {
		go p.Socket().Close() // the site's shutdown waits for the connection
		return nil
	})
	s.io.On("login", func(p *socketbridge.Packet) error {
		if err := p.Session().Login(p.Context(), "ann"); err != nil {
			return err
		}
		return errors.Join(p.Socket().SendCookie(p.Context()), p.Ack(true))
	})
	s.serve()
	return s, strings.Replace(s.url, "127.0.0.1", "localhost", 1)
}

// C9 in Chromium: a page connects with its session to another origin, to which the
// browser sends no cookie, with our client and the official one, on every transport, and
// again after a lost connection. A page of an origin that is not allowed is refused.
func TestC9_FromASecondOriginInTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s, other := newTwoOriginSite(t)
	browser := n.Browser(t)
	page := browser.Open(s.url + "/")
	page.Eval(`await fetch("/login/ann", { method: "POST" });`, nil, nil)
	for _, tt := range []struct{ client, transport string }{
		{"own", "websocket"}, {"own", "polling"}, {"official", "websocket"}, {"official", "polling"}, {"official", "upgrade"},
	} {
		t.Run(tt.client+" over "+tt.transport, func(t *testing.T) {
			var got struct{ Plain, First, Second, Cookie string }
			page.Eval(`
				const transports = arg.transport === "upgrade" ? ["polling", "websocket"] : [arg.transport];
				const options = { transports, reconnectionDelay: 50, reconnectionDelayMax: 100 };
				const to = arg.other + "/";
				const open = arg.client === "own"
					? { plain: () => fiberbridge.connect(to, { ...options, withCredentials: true }), ticket: () => fiberbridge.connectWithSession(to, options) }
					: { plain: () => io(to, { ...options, withCredentials: true, forceNew: true }),
					    ticket: () => io(to, { ...options, forceNew: true, auth: fiberbridge.sessionAuth() }) };
				const connected = (socket) => new Promise((ok, no) => {
					socket.on("connect", ok);
					socket.on("connect_error", (e) => no(new Error(e.message)));
				});
				const without = open.plain();
				await connected(without);
				const plain = await without.emitWithAck("whoami");
				without.disconnect();
				const socket = open.ticket();
				await connected(socket);
				const first = await socket.emitWithAck("whoami");
				const back = new Promise((ok) => socket.on("connect", ok));
				if (arg.client === "own") { socket.emit("cut"); await new Promise((ok) => socket.on("disconnect", ok)); socket.connect(); }
				else socket.io.engine.close();
				await back;
				const second = await socket.emitWithAck("whoami");
				socket.disconnect();
				return { plain, first, second, cookie: document.cookie };`,
				map[string]string{"client": tt.client, "transport": tt.transport, "other": other}, &got)
			equal(t, "user without a ticket", got.Plain, "")
			equal(t, "user with a ticket", got.First, "ann")
			equal(t, "user after a reconnect", got.Second, "ann")
			equal(t, "cookie visible to scripts", got.Cookie, "")
		})
	}
	evil := browser.Open(strings.Replace(s.url, "127.0.0.1", "evil.localhost", 1) + "/")
	var got struct{ Ticket, Socket, Stolen string }
	ticket := ""
	page.Eval(`return (await (await fetch("/socket.io/ticket", { method: "POST" })).json()).ticket;`, nil, &ticket)
	evil.Eval(`
		const asked = (options) => new Promise((done) => {
			const socket = fiberbridge.connect(arg.url + "/", { transports: ["websocket"], reconnection: false, ...options });
			socket.on("connect", () => done("connected"));
			socket.on("connect_error", (e) => done("refused"));
		});
		const ticket = await fetch(arg.url + "/socket.io/ticket", { method: "POST", credentials: "include" }).then((r) => "answered " + r.status, () => "refused");
		return { ticket, socket: await asked({}), stolen: await asked({ auth: { ticket: arg.ticket } }) };`,
		map[string]string{"url": s.url, "ticket": ticket}, &got)
	if got.Ticket != "refused" || got.Socket != "refused" || got.Stolen != "refused" {
		t.Errorf("a page of another origin: got %+v, want everything refused", got)
	}
}

// N5 in Chromium: a handler logs in, which gives the session a new ID, and the page fetches
// its new cookie once through the URL that the socket sends.
func TestN5_CookieThroughAOneTimeURL(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for _, client := range []string{"own", "official"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			s, _ := newTwoOriginSite(t)
			browser := n.Browser(t)
			page := browser.NewContext(nil).Open(s.url + "/")
			var got struct {
				URLs                   []string
				Before, After, OnAgain string
				Again, Get             int
				Same                   bool
			}
			page.Eval(`
				await fetch("/notify/nobody", { method: "POST" });
				const urls = [];
				const socket = arg === "own" ? fiberbridge.connectWithSession({ transports: ["websocket"] })
					: fiberbridge.followCookie(io({ transports: ["websocket"], forceNew: true }));
				socket.on("fiberbridge:cookie", (url) => urls.push(url));
				await new Promise((ok, no) => { socket.on("connect", ok); socket.on("connect_error", no); });
				const id = socket.id;
				const before = await (await fetch("/who")).text();
				await socket.emitWithAck("login");
				let after = "";
				while (after !== "ann") after = await (await fetch("/who")).text();
				const again = (await fetch("/socket.io/" + urls[0], { method: "POST" })).status;
				const get = (await fetch("/socket.io/" + urls[0])).status;
				const onAgain = await socket.emitWithAck("whoami");
				return { urls, before, after, again, get, onAgain, same: socket.connected && socket.id === id };`,
				client, &got)
			if got.Before != "" || got.After != "ann" || got.OnAgain != "ann" || !got.Same || len(got.URLs) != 1 {
				t.Errorf("got %+v, want user ann over HTTP and on the same socket, and one URL", got)
			}
			if got.Again != 403 || got.Get != 405 {
				t.Errorf("got status %d for the same URL again and %d for GET, want 403 and 405", got.Again, got.Get)
			}
		})
	}
}

// N5: only the browser with the old cookie gets the new one from the URL.
func TestN5_CookieURLForNobodyElse(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newMembersSite(t, options{storage: url})
		s.io.On("login", func(p *socketbridge.Packet) error {
			if err := p.Session().Login(p.Context(), "ann"); err != nil {
				return err
			}
			return errors.Join(p.Socket().SendCookie(p.Context()), p.Ack(true))
		})
		s.serve()
		a, eve := s.agent(), s.loggedIn("eve")
		a.post("/visit")
		c := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
		fetch := func(who *agent, origin string) (int, string) {
			t.Helper()
			call(t, c, "login")
			var path string
			c.MustNext(socketbridge.CookieEvent).Bind(t, &path)
			res, body := who.ask("POST", "/socket.io/"+path, "Origin", origin)
			return res.StatusCode, body
		}
		old := a.sessionID()
		for name, who := range map[string]*agent{"another user": eve, "an agent without a cookie": s.agent()} {
			if status, body := fetch(who, s.url); status != 403 || !strings.Contains(body, "ticket_invalid") {
				t.Errorf("%s: got status %d and body %s, want 403 and ticket_invalid", name, status, body)
			}
		}
		if status, _ := fetch(a, "https://evil.example"); status != 403 || a.sessionID() != old {
			t.Errorf("from another page: got status %d, want 403 and the old cookie", status)
		}
		equal(t, "user of the other agent", eve.get("/who"), "eve")
		equal(t, "user with the old cookie", s.agentWith("session", old).get("/who"), "")
		if status, body := fetch(a, s.url); status != 204 || a.sessionID() == old {
			t.Errorf("the browser itself: got status %d and body %s, want 204 and a new cookie", status, body)
		}
		equal(t, "user with the new cookie", a.get("/who"), "ann")
		equal(t, "user of the socket", call(t, c, "whoami"), `"ann"`)
	})
}
