package inspector_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/inspector"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestS6_EveryNoticeIsProvoked(t *testing.T) {
	t.Parallel()
	noticetest.Asserted(t, ".")
}

// Without Authorize, every visitor could end all sessions.
func TestN8_NeedsAuthorize(t *testing.T) {
	t.Parallel()
	io := socketbridge.New(socketbridge.Config{})
	for name, tt := range map[string]struct {
		cfg  inspector.Config
		want string
	}{
		"no Authorize": {inspector.Config{Bridge: io}, "Config.Authorize is missing"},
		"no Bridge":    {inspector.Config{Authorize: func(*fiber.Ctx) (string, error) { return "root", nil }}, "Config.Bridge is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, tt.want) {
					t.Errorf("New panicked with %q, want %q", got, tt.want)
				}
			}()
			inspector.New(tt.cfg)
		})
	}
}

// TestN8_OnlyAdministrators: no file of the page, no pass and no socket for other visitors.
func TestN8_OnlyAdministrators(t *testing.T) {
	t.Parallel()
	s := start(t, memory.New(), nil, options{})
	n := nodetest.Start(t)
	root, ada := s.logIn("root"), s.logIn("ada")
	for _, path := range []string{"/inspector", "/inspector/", "/inspector/inspector.mjs", "/inspector/client.js", "/inspector/icon.svg"} {
		if res, body := s.do("GET", path, root); res.StatusCode != 200 || res.Header.Get("Content-Security-Policy") == "" || res.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(res.Header.Get("Cache-Control"), "no-") {
			t.Errorf("%s of an administrator: %d %v %.80s", path, res.StatusCode, res.Header, body)
		}
		for name, cookie := range map[string]string{"a user": ada, "a visitor": ""} {
			if res, body := s.do("GET", path, cookie); res.StatusCode != 404 || len(body) > 20 {
				t.Errorf("%s of %s: %d %q, want 404", path, name, res.StatusCode, body)
			}
		}
	}
	if !s.log.Has("notice=inspector_refused") {
		t.Error("a refusal is not in the log")
	}
	for name, tt := range map[string]struct {
		method, cookie string
		header         []string
		want           int
	}{
		"a user":                   {"POST", ada, []string{"X-Inspector", "1"}, 404},
		"a form of another site":   {"POST", root, nil, 403},
		"a script of another site": {"POST", root, []string{"X-Inspector", "1", "Sec-Fetch-Site", "cross-site"}, 403},
		"a link":                   {"GET", root, []string{"X-Inspector", "1"}, 405},
	} {
		if res, _ := s.do(tt.method, "/inspector/pass", tt.cookie, tt.header...); res.StatusCode != tt.want {
			t.Errorf("a pass for %s: %d, want %d", name, res.StatusCode, tt.want)
		}
	}
	if res, _ := s.do("GET", "/inspectors", ""); res.StatusCode != 404 || res.Header.Get("X-Frame-Options") != "" {
		t.Errorf("/inspectors: %d, want a page of the app", res.StatusCode)
	}

	// The namespace wants a pass, which works once.
	client := n.Connect(t, s.url, nodetest.Options{Cookie: root})
	pass := s.pass(root)
	ask(t, client.Of(inspector.Namespace, map[string]any{"pass": pass}), "users", nil)
	for name, auth := range map[string]any{"no pass": nil, "a used pass": map[string]any{"pass": pass}, "a made up pass": map[string]any{"pass": "AAAAAAAAAAAAAAAAAAAAAAAAAA"}, "nonsense": map[string]any{"pass": []int{1}}} {
		other := n.Connect(t, s.url, nodetest.Options{Cookie: root}).DialOf(inspector.Namespace, auth)
		var refusal struct{ Message string }
		if other.MustNext("connect_error").Bind(t, &refusal); refusal.Message != "forbidden" {
			t.Errorf("with %s: %+v, want a refusal", name, refusal)
		}
	}
}

// ask asks the namespace as the page does.
func ask(t *testing.T, c *nodetest.Client, op string, query map[string]any) (answer map[string]any, text string) {
	t.Helper()
	all := map[string]any{"op": op, "filter": map[string]any{}}
	for k, v := range query {
		all[k] = v
	}
	c.MustCall("ask", all).Bind(t, &answer)
	raw, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(raw)
}

// admin connects to the namespace with a pass of another node, to which a load balancer could
// have sent the request.
func (s *site) admin(n *nodetest.Node, from *site) *nodetest.Client {
	s.t.Helper()
	root := from.logIn("root")
	return n.Connect(s.t, s.url, nodetest.Options{}).Of(inspector.Namespace, map[string]any{"pass": from.pass(root)})
}

// TestN8_PassOfAnotherNode: it is redeemed where it was given out, once.
func TestN8_PassOfAnotherNode(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2)
	n := nodetest.Start(t)
	c := nodes[0].admin(n, nodes[1])
	if answer, _ := ask(t, c, "users", nil); answer["total"] != 0.0 {
		t.Errorf("answer %v", answer)
	}
	pass := nodes[1].pass(nodes[1].logIn("root"))
	auth := map[string]any{"pass": pass}
	n.Connect(t, nodes[0].url, nodetest.Options{}).Of(inspector.Namespace, auth)
	n.Connect(t, nodes[1].url, nodetest.Options{}).DialOf(inspector.Namespace, auth).MustNext("connect_error")
}

// TestN8_RevokedAdministrator: a page whose administrator is none any more loses its socket
// after the lifetime of its authorization, and can end nothing before.
func TestN8_RevokedAdministrator(t *testing.T) {
	t.Parallel()
	var io *socketbridge.Server
	s := start(t, memory.New(), nil, options{mount: "-", app: func(app *fiber.App, bridge *socketbridge.Server) {
		io = bridge
		app.Use("/inspector", inspector.NewFor(inspector.Config{Bridge: io, Authorize: func(c *fiber.Ctx) (string, error) {
			if c.Get("X-Root") == "" {
				return "", errors.New("no administrator")
			}
			return c.Get("X-Root"), nil
		}}, time.Second, time.Minute))
	}})
	n := nodetest.Start(t)
	pass := func(name string) string {
		_, body := s.do("POST", "/inspector/pass", "", "X-Inspector", "1", "X-Root", name)
		return strings.TrimSuffix(strings.TrimPrefix(body, `{"pass":"`), `"}`)
	}
	c := n.Connect(t, s.url, nodetest.Options{}).Of(inspector.Namespace, map[string]any{"pass": pass("root")})
	ada, _ := s.socketOf(n, "ada")
	id := ada.State().ID
	for name, text := range map[string]string{"no pass": "", "a made up pass": "AAAAAAAA", "the pass of another administrator": pass("eve")} {
		answer, _ := ask(t, c, "end", map[string]any{"socket": id, "namespace": "/", "pass": text})
		if answer["ok"] == true || answer["error"] == nil {
			t.Errorf("with %s, the end of a socket is answered with %v", name, answer)
		}
	}
	if reason := c.MustNext("disconnect"); !strings.Contains(string(reason[0]), "io server disconnect") {
		t.Errorf("disconnected with %s", reason)
	}
	ada.MustCall("join", "still here")
}

// TestN8_BehindAProxyThatStripsAPrefix: the page, its files, passes and socket are found by
// relative URLs, with and without a slash at the end of the page's URL.
func TestN8_BehindAProxyThatStripsAPrefix(t *testing.T) {
	t.Parallel()
	s := start(t, memory.New(), nil, options{mount: "/admin/:tenant/inspector"})
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.StripPrefix("/app", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}))
	t.Cleanup(proxy.Close)
	page := nodetest.Start(t).Browser(t).Open(proxy.URL + "/app/")
	page.Eval(`await fetch("/app/login/root", { method: "POST" })`, nil, nil)
	for _, end := range []string{"", "/", "?from=mail"} {
		page.Goto(proxy.URL + "/app/admin/one/inspector" + end)
		page.WaitText("#state.on", "live")
		page.WaitText(".tiles", "Nodes")
	}
	if page.Waiting("error") > 0 {
		t.Error(page.MustNext("error"))
	}
}

// The page works with the other parser, and without the client that the bridge serves.
func TestN8_MsgpackWithoutServedClient(t *testing.T) {
	t.Parallel()
	s := start(t, memory.New(), nil, options{bridge: func(cfg *socketbridge.Config) {
		cfg.Parser, cfg.DisableServeClient = socketbridge.MsgpackParser, true
	}})
	page := s.openPage(nodetest.Start(t).Browser(t), 1280, "light")
	page.WaitText(".tiles", "Nodes")
}

// TestN8_FailedActionIsReported: the administrator gets the reason, and the log has the error.
func TestN8_FailedActionIsReported(t *testing.T) {
	t.Parallel()
	s := start(t, memory.New(), nil, options{bridge: func(cfg *socketbridge.Config) {
		cfg.Sessions = fibersession.New(fibersession.Config{}) // without UserKey
	}})
	n := nodetest.Start(t)
	admin := s.admin(n, s)
	answer, _ := ask(t, admin, "end", map[string]any{"user": "ada", "pass": s.pass(s.logIn("root"))})
	if text, _ := answer["error"].(string); !strings.Contains(text, "UserKey is not set") || !s.log.Has("notice=inspector_failed") {
		t.Errorf("answer %v, log:\n%s", answer, s.log)
	}
	answer, _ = ask(t, admin, "end", map[string]any{"session": "gone", "pass": s.pass(s.logIn("root"))})
	if text, _ := answer["error"].(string); !strings.Contains(text, "already ended") {
		t.Errorf("answer %v", answer)
	}
}
