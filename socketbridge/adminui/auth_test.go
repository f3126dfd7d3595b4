package adminui_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adminui"
)

func TestS6_EveryNoticeIsProvoked(t *testing.T) {
	t.Parallel()
	noticetest.Asserted(t, ".")
}

// TestN8_AdminUIConfig: no admin namespace begins without protection, or with a
// contradiction.
func TestN8_AdminUIConfig(t *testing.T) {
	t.Parallel()
	yes := func(*fibersession.Handle) bool { return true }
	for name, c := range map[string]struct {
		cfg  adminui.Config
		want string // "" if it is valid
	}{
		"nothing":                  {adminui.Config{}, "Config.Authorize"},
		"no password's hash":       {adminui.Config{PasswordHash: "changeit"}, "Config.PasswordHash"},
		"insecure and protected":   {adminui.Config{Insecure: true, Authorize: yes}, "Config.Insecure"},
		"the default namespace":    {adminui.Config{Authorize: yes, Namespace: "/"}, "Config.Namespace"},
		"insecure on purpose":      {adminui.Config{Insecure: true}, ""},
		"a session":                {adminui.Config{Authorize: yes, Namespace: "ops"}, ""},
		"a password":               {adminui.Config{PasswordHash: hashed(t)}, ""},
		"a session and a password": {adminui.Config{PasswordHash: hashed(t), Authorize: yes}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			io := socketbridge.New()
			defer func() { _ = io.Shutdown(context.Background()) }()
			defer func() {
				message, _ := recover().(string)
				if (message == "") != (c.want == "") || !strings.Contains(message, c.want) {
					t.Errorf("panic %q, want %q", message, c.want)
				}
			}()
			adminui.Instrument(io, c.cfg)
		})
	}
}

func TestN8_AdminUIInsecureIsReported(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	io := socketbridge.New()
	defer func() { _ = io.Shutdown(context.Background()) }()
	adminui.Instrument(io, adminui.Config{Insecure: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !log.Has("notice=admin_insecure") || !log.Has("setting=Config.Insecure") {
		t.Errorf("the log is %q, want the line admin_insecure", log.String())
	}
}

// refused connects and returns why the server refuses the client.
func refused(t *testing.T, n *nodetest.Node, url string, auth any, cookie string) string {
	t.Helper()
	c := n.Dial(t, url+"/admin", nodetest.Options{Auth: auth, Cookie: cookie, Transports: []string{"websocket"}})
	got := c.MustNext(nodetest.ConnectError).String()
	c.Close()
	return got
}

// TestN8_AdminUILogin tries wrong credentials, tokens and too many passwords.
func TestN8_AdminUILogin(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	site := newSite(t, options{admin: adminui.Config{PasswordHash: string(hash)}})
	other := newSite(t, options{admin: adminui.Config{PasswordHash: string(hash)}}) // another node
	changed := newSite(t, options{admin: adminui.Config{PasswordHash: hashed(t)}})  // a new hash

	first := connect(t, n, site.url, withPassword)
	token := bind[string](t, first.MustNext("session"))
	for _, url := range []string{site.url, other.url} {
		c := connect(t, n, url, map[string]any{"sessionId": token})
		c.MustNext("config")
		if c.Waiting("session") != 0 {
			t.Error("a token was replaced")
		}
	}
	forged := []byte(token)
	forged[3] ^= 1
	for name, auth := range map[string]any{
		"none":             nil,
		"wrong user":       map[string]any{"username": "root", "password": password},
		"wrong password":   map[string]any{"username": "admin", "password": "x"},
		"no password":      map[string]any{"username": "admin"},
		"numbers":          map[string]any{"username": 1, "password": 2},
		"a forged token":   map[string]any{"sessionId": string(forged)},
		"an empty token":   map[string]any{"sessionId": ""},
		"an object":        map[string]any{"sessionId": map[string]any{}},
		"null and a token": map[string]any{"sessionId": nil, "username": nil, "password": nil},
	} {
		if got := refused(t, n, site.url, auth, ""); !strings.Contains(got, "invalid credentials") {
			t.Errorf("%s: the client gets %s", name, got)
		}
	}
	if got := refused(t, n, changed.url, map[string]any{"sessionId": token}, ""); !strings.Contains(got, "invalid credentials") {
		t.Errorf("a token is valid although the password was set anew: %s", got)
	}
	for range 20 {
		if got := refused(t, n, site.url, map[string]any{"username": "admin", "password": "x"}, ""); strings.Contains(got, "too many attempts") {
			break
		}
	}
	if got := refused(t, n, site.url, withPassword, ""); !strings.Contains(got, "too many attempts") {
		t.Errorf("after many attempts, the right password gets %s", got)
	}
	connect(t, n, site.url, map[string]any{"sessionId": token}) // a page with a token is not locked out
	for _, line := range []string{"notice=admin_refused", "notice=admin_login_attempts"} {
		if !site.log.Has(line) {
			t.Errorf("the log does not have %s", line)
		}
	}
	if site.log.Has(password) || site.log.Has(token) {
		t.Error("the log has the password or a token")
	}
}

// sessionOf logs in and returns the session's cookie.
func sessionOf(t *testing.T, s *site, role string) (cookie string, client *http.Client) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client = &http.Client{Jar: jar, Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	res, err := client.Get(s.url + "/login/" + role)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	c := res.Cookies()[0]
	return c.Name + "=" + c.Value, client
}

// TestN8_AdminUIAuthorize: the session decides, when the client connects and after a change.
// With a password, both are needed.
func TestN8_AdminUIAuthorize(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	allow := func(session *fibersession.Handle) bool {
		return session.User() == "boss" && session.Get("demoted") == nil
	}
	site := newSite(t, options{admin: adminui.Config{Authorize: allow}})
	cookie, client := sessionOf(t, site, "boss")
	visitor, _ := sessionOf(t, site, "visitor")
	for name, cookie := range map[string]string{"no session": "", "another user": visitor} {
		if got := refused(t, n, site.url, withPassword, cookie); !strings.Contains(got, "invalid credentials") {
			t.Errorf("%s: the client gets %s", name, got)
		}
	}
	admin := n.Connect(t, site.url+"/admin", nodetest.Options{Cookie: cookie})
	admin.MustNext("config")
	res, err := client.Get(site.url + "/demote")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	admin.MustNext(nodetest.Disconnected)

	bare := newSite(t, options{bare: true, admin: adminui.Config{Authorize: func(*fibersession.Handle) bool { return true }}})
	if got := refused(t, n, bare.url, nil, ""); !strings.Contains(got, "invalid credentials") {
		t.Errorf("a client of a server without sessions gets %s", got)
	}

	both := newSite(t, options{admin: adminui.Config{Authorize: allow, PasswordHash: hashed(t)}})
	cookie, _ = sessionOf(t, both, "boss")
	if got := refused(t, n, both.url, withPassword, ""); !strings.Contains(got, "invalid credentials") {
		t.Errorf("a password without a session gets %s", got)
	}
	if got := refused(t, n, both.url, nil, cookie); !strings.Contains(got, "invalid credentials") {
		t.Errorf("a session without a password gets %s", got)
	}
	n.Connect(t, both.url+"/admin", nodetest.Options{Cookie: cookie, Auth: withPassword}).MustNext("config")
}

// TestN8_AdminUIRevoked: Authorize is asked before each command, also if the session has not
// changed.
func TestN8_AdminUIRevoked(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	var revoked atomic.Bool
	site := newSite(t, options{admin: adminui.Config{Authorize: func(session *fibersession.Handle) bool {
		return session.User() == "boss" && !revoked.Load()
	}}})
	cookie, _ := sessionOf(t, site, "boss")
	user := n.Connect(t, site.url, nodetest.Options{})
	user.MustNext("ready")
	admin := n.Connect(t, site.url+"/admin", nodetest.Options{Cookie: cookie})
	admin.MustCall("join", "/", "red", user.State().ID)
	revoked.Store(true)
	admin.Emit("join", "/", "blue", user.State().ID)
	admin.MustNext(nodetest.Disconnected)
	user.MustCall("chat")
	if rooms := site.io.Of("/").Socket(user.State().ID).Rooms(); !slices.Contains(rooms, "red") || slices.Contains(rooms, "blue") {
		t.Errorf("the socket is in %q", rooms)
	}
}
