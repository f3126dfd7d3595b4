package socketbridge_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// openConfigs are the settings with which pages connect whose cookies are ignored, each with
// an origin of such a page.
var openConfigs = map[string]struct {
	engine engineio.Config
	origin string
}{
	"any origin":             {engineio.Config{AllowAnyOrigin: true}, "https://anywhere.example"},
	"any origin, from null":  {engineio.Config{AllowAnyOrigin: true}, "null"},
	"null":                   {engineio.Config{AllowOrigins: []string{"null"}}, "null"},
	"null, as a WebView has": {engineio.Config{AllowOrigins: []string{"null"}}, "file://"},
}

// newOpenSite is newMembersSite whose sessions are also named by the header X-Session. With
// used, the session is read before the sockets' handler ignores the cookies.
func newOpenSite(t *testing.T, engine engineio.Config, used bool) *site {
	t.Helper()
	engine.AllowHeaders = []string{"Content-Type", "X-Session"}
	o := options{bridge: socketbridge.Config{Engine: engine}}
	o.sessions.UserKey = "user"
	o.sessions.Extractor = fibersession.Chain(fibersession.FromCookie("session"), fibersession.FromHeader("X-Session"))
	var s *site
	o.before = func(app *fiber.App) {
		app.Use(func(c *fiber.Ctx) error {
			if used {
				if _, err := s.sessions.Get(c); err != nil {
					return err
				}
			}
			return c.Next()
		})
	}
	s = newSite(t, o)
	s.users()
	s.io.Of("/members").RequireSession().On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	return s
}

// TestS5_SessionWithoutCookies: where cookies are ignored, a session that the request names in
// a header counts, for tickets and for sockets. One that only a cookie names does not.
func TestS5_SessionWithoutCookies(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, tt := range openConfigs {
		for _, used := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", session used before"}[used], func(t *testing.T) {
				t.Parallel()
				s := newOpenSite(t, tt.engine, used).serve()
				ann, bob := s.loggedIn("ann"), s.loggedIn("bob")
				nobody := s.agent()
				ask := func(who *agent, headers ...string) (status int, ticket string) {
					t.Helper()
					res, body := who.ask("POST", "/socket.io/ticket", append(headers, "Origin", tt.origin)...)
					if res.Header.Get("Access-Control-Allow-Origin") != "*" || res.Header.Get("Access-Control-Allow-Credentials") != "" {
						t.Errorf("got CORS headers %v, want * and no credentials", res.Header)
					}
					var answer struct{ Ticket string }
					_ = json.Unmarshal([]byte(body), &answer)
					return res.StatusCode, answer.Ticket
				}
				if status, _ := ask(ann); status != 401 {
					t.Errorf("a ticket for a cookie: got status %d, want 401", status)
				}
				if status, _ := ask(nobody, "X-Session", "invented"); status != 401 {
					t.Errorf("a ticket for an invented ID: got status %d, want 401", status)
				}
				for who, a := range map[string]*agent{"no cookie": nobody, "another's cookie": bob} {
					status, ticket := ask(a, "X-Session", ann.sessionID())
					if status != 200 {
						t.Fatalf("%s: got status %d for a ticket with a header, want 200", who, status)
					}
					o := nodetest.Options{Auth: withTicket(ticket), Cookie: bob.cookie(), Header: map[string]string{"Origin": tt.origin}}
					c := n.Connect(t, s.url+"/members", o)
					equal(t, who+", user with the ticket", call(t, c, "whoami"), `"ann"`)
					c.Close()
				}
				res, _ := nobody.ask("OPTIONS", "/socket.io/ticket", "Origin", tt.origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-session")
				if res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Headers") != "Content-Type, X-Session" {
					t.Errorf("the preflight got status %d and %v", res.StatusCode, res.Header)
				}
				for _, transports := range [][]string{{"polling"}, {"websocket"}, {"polling", "websocket"}} {
					header := map[string]string{"Origin": tt.origin, "X-Session": ann.sessionID()}
					c := n.Connect(t, s.url+"/members", nodetest.Options{Transports: transports, Cookie: bob.cookie(), Header: header})
					equal(t, "user with a header", call(t, c, "whoami"), `"ann"`)
					c.Close()
					delete(header, "X-Session")
					c = n.Dial(t, s.url, nodetest.Options{Transports: transports, Cookie: bob.cookie(), Header: header})
					equal(t, "code with a cookie", waitForRefusal(t, c), "session_missing")
					c.Close()
				}
			})
		}
	}
}

// A connection whose session came in a header belongs to that session: its ID alone, or with
// another session's header, gives no access.
func TestS5_ConnectionWithoutCookiesIsBound(t *testing.T) {
	t.Parallel()
	s := newOpenSite(t, engineio.Config{AllowAnyOrigin: true}, false).serve()
	ann, bob := s.loggedIn("ann"), s.loggedIn("bob")
	request := func(method, query string, headers ...string) (int, string) {
		res, body := s.agent().ask(method, "/socket.io/?EIO=4&transport=polling"+query, append(headers, "Origin", "https://anywhere.example")...)
		return res.StatusCode, body
	}
	_, body := request("GET", "", "X-Session", ann.sessionID())
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(body[1:]), &open); err != nil {
		t.Fatalf("the handshake was answered with %s", body)
	}
	for who, headers := range map[string][]string{"no session": nil, "another session": {"X-Session", bob.sessionID()}, "a cookie": {"Cookie", ann.cookie()}} {
		if status, body := request("POST", "&sid="+open.SID, headers...); status != 400 {
			t.Errorf("%s: got status %d and %s, want 400", who, status, body)
		}
	}
	if status, body := request("POST", "&sid="+open.SID, "X-Session", ann.sessionID(), "Content-Type", "text/plain"); status != 400 {
		t.Errorf("an empty post with the session's header: got status %d and %s, want 400", status, body)
	}
	waitFor(t, "the end of the connection", func() bool { return s.io.Stats().Connections == 0 })
}

// TestS5_PagesWithoutAnOriginInTheBrowser opens a file and a sandboxed page in Chromium, and a
// page of another site where every origin is allowed. Each connects with both clients and every
// transport, without the cookie that the browser has, and with a ticket that it got with a
// header.
func TestS5_PagesWithoutAnOriginInTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	official, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	port := servePage(t, nil)
	for name, engine := range map[string]engineio.Config{"null": {AllowOrigins: []string{"null"}}, "any": {AllowAnyOrigin: true}} {
		s := newOpenSite(t, engine, false)
		s.app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(official) })
		s.app.Get("/sandboxed", func(c *fiber.Ctx) error {
			c.Set("Content-Security-Policy", "sandbox allow-scripts")
			return c.Type("html").SendString("<!doctype html><title>t</title>")
		})
		s.serve()
		ann := s.loggedIn("ann")
		file := filepath.Join(t.TempDir(), "page.html")
		if err := os.WriteFile(file, []byte("<!doctype html><title>t</title>"), 0o600); err != nil {
			t.Fatal(err)
		}
		pages := map[string]string{"a file": "file://" + file, "a sandboxed page": s.url + "/sandboxed"}
		if name == "any" {
			pages["another site"] = "http://localhost:" + port
		}
		for where, url := range pages {
			t.Run(name+" "+where, func(t *testing.T) {
				tab := n.Browser(t).NewContext(nil).Open(s.url + "/devices")
				tab.Eval(`await fetch("/login/bob", { method: "POST" })`, nil, nil)
				tab.Goto(url)
				var got []string
				tab.Eval(`
					for (const src of ["/official.js", "/socket.io/fiberbridge.js"]) {
						const script = Object.assign(document.createElement("script"), { src: arg.site + src });
						await new Promise((ok, no) => { script.onload = ok; script.onerror = no; document.head.append(script); });
					}
					const users = [];
					const user = async (socket) => {
						const refused = await new Promise((done) => { socket.on("connect", () => done()); socket.on("connect_error", (e) => done(e.data?.code ?? String(e))); });
						users.push(refused ?? await socket.emitWithAck("whoami"));
						socket.disconnect();
					};
					const ticket = { ticketURL: arg.site + "/socket.io/ticket", ticketHeaders: { "X-Session": arg.id } };
					for (const transports of [["polling"], ["websocket"]]) {
						await user(io(arg.site, { transports, forceNew: true }));
						await user(fiberbridge.connect(arg.site, { transports }));
						await user(io(arg.site + "/members", { transports, forceNew: true, auth: fiberbridge.sessionAuth(ticket) }));
						await user(fiberbridge.connectWithSession(arg.site + "/members", { transports, ...ticket }));
					}
					return users;`, map[string]string{"site": s.url, "id": ann.sessionID()}, &got)
				want := []string{"session_missing", "session_missing", "ann", "ann", "session_missing", "session_missing", "ann", "ann"}
				if len(got) != len(want) {
					t.Fatalf("got users %q, want %q", got, want)
				}
				for i := range want {
					equal(t, "user of a socket", got[i], want[i])
				}
			})
		}
	}
}
