package fibersession_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// browser is a client that keeps cookies. It ignores their path and domain. Its requests come
// over https, through a proxy, unless plain is set.
type browser struct {
	t       testing.TB
	app     *fiber.App
	cookies map[string]string
	host    string
	headers map[string]string
	plain   bool
	peer    string // the address that requests come from; "" for that of app.Test, 0.0.0.0
}

func newBrowser(t testing.TB, app *fiber.App) *browser {
	return &browser{t: t, app: app, cookies: map[string]string{}, host: "example.com"}
}

type response struct {
	status int
	body   string
	header http.Header
	set    []*http.Cookie // from Set-Cookie
}

func (b *browser) get(path string) response { return b.do("GET", path) }

func (b *browser) do(method, path string) response {
	b.t.Helper()
	req := httptest.NewRequest(method, path, nil)
	req.Host = b.host
	for name, value := range b.cookies {
		req.Header.Add("Cookie", name+"="+value)
	}
	if !b.plain {
		req.Header.Set("X-Forwarded-Proto", "https")
	}
	for name, value := range b.headers {
		req.Header.Set(name, value)
	}
	res, err := b.send(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		if c.Value == "" || c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return response{res.StatusCode, string(body), res.Header, res.Cookies()}
}

func (b *browser) send(req *http.Request) (*http.Response, error) {
	if b.peer == "" {
		return b.app.Test(req, -1)
	}
	var request bytes.Buffer
	if err := req.Write(&request); err != nil {
		return nil, err
	}
	b.app.Handler() // starts the app
	nc := &peerConn{request: &request, peer: net.TCPAddr{IP: net.ParseIP(b.peer), Port: 50000}}
	if err := b.app.Server().ServeConn(nc); err != nil && err != io.EOF {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(&nc.response), req)
}

// peerConn is a connection with one request from a peer of the test's choice.
type peerConn struct {
	net.Conn
	request  *bytes.Buffer
	response bytes.Buffer
	peer     net.TCPAddr
}

func (c *peerConn) Read(b []byte) (int, error)       { return c.request.Read(b) }
func (c *peerConn) Write(b []byte) (int, error)      { return c.response.Write(b) }
func (c *peerConn) Close() error                     { return nil }
func (c *peerConn) RemoteAddr() net.Addr             { return &c.peer }
func (c *peerConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *peerConn) SetDeadline(time.Time) error      { return nil }
func (c *peerConn) SetReadDeadline(time.Time) error  { return nil }
func (c *peerConn) SetWriteDeadline(time.Time) error { return nil }

// session returns the value of the session cookie, or "".
func (b *browser) session() string {
	for name, value := range b.cookies {
		if strings.HasSuffix(name, "session") || name == "session_id" {
			return value
		}
	}
	return ""
}

// newApp returns an app behind the store's Handler.
func newApp(s *fibersession.Store, routes map[string]fiber.Handler) *fiber.App {
	app := fiber.New()
	app.Use(s.Handler())
	for path, h := range routes {
		app.All(path, h)
	}
	return app
}

// userApp returns an app whose "/" responds with the session's "user". "/in" sets it to the
// query parameter user, or to "ada".
func userApp(s *fibersession.Store) *fiber.App {
	return newApp(s, map[string]fiber.Handler{
		"/": func(c *fiber.Ctx) error {
			return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
		},
		"/in": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", c.Query("user", "ada")); return nil },
	})
}

// serve runs an app on a free port until the test ends. It returns the address.
func serve(t *testing.T, app *fiber.App) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return serveOn(t, app, ln)
}

// serveOn is serve on a given listener.
func serveOn(t *testing.T, app *fiber.App, ln net.Listener) string {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- app.Listener(ln) }() // the cleanup waits for it
	t.Cleanup(func() {
		if err := app.Shutdown(); err != nil {
			t.Error(err)
		}
		_ = ln.Close() // fails if Shutdown did it, but Listener may not have begun then
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// visit makes a request with a cookie over a new connection.
func visit(t *testing.T, url, cookie string) (body, setCookie string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	must(t, err)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return string(b), res.Header.Get("Set-Cookie")
}
