package bridgetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TB is the part of testing.TB that this package needs. A *testing.T and a *testing.B are TBs.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any) // must not return, as that of testing.TB
	Cleanup(fn func())
}

// Visitor is a browser: it keeps cookies, makes HTTP requests to the app, and connects sockets
// with the session of its cookies, any number of them, as tabs do. Create it with Visit. Its
// methods are safe for concurrent use, but those that take no error end the test on failure,
// so call them on the test's goroutine.
type Visitor struct {
	t       TB
	io      *socketbridge.Server
	app     *fiber.App
	options options
	*browser
}

// browser is what the visitors of several nodes share.
type browser struct {
	jar *cookiejar.Jar

	mu     sync.Mutex
	header http.Header // that carry the session, if the store reads it from headers
}

// Visit returns a visitor of the site that io belongs to. Give it the app with App, and a
// session with Session or User; without those it has no cookie.
func Visit(t TB, io *socketbridge.Server, opts ...Option) *Visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatalf("bridgetest: %v", err)
	}
	v := newVisitor(t, io, options{host: defaultHost, addr: defaultAddr}.with(opts), &browser{jar: jar, header: make(http.Header)})
	jar.SetCookies(v.url(""), v.options.cookies)
	if v.options.begins() {
		v.begin()
	}
	return v
}

func newVisitor(t TB, io *socketbridge.Server, o options, b *browser) *Visitor {
	v := &Visitor{t: t, io: io, app: o.app, options: o, browser: b}
	if v.app == nil {
		v.app = newApp()
		io.LimitBodies(v.app)
		if sessions := io.Config().Sessions; sessions != nil {
			v.app.Use(sessions.Handler())
		}
		v.app.Use(io.Handler())
	}
	return v
}

// newApp returns an app with the settings that the server asks for.
func newApp() *fiber.App {
	return fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute})
}

// At returns the same visitor at another node of the site: with the same cookies, for another
// server. Of the options, only App counts.
func (v *Visitor) At(io *socketbridge.Server, opts ...Option) *Visitor {
	o := v.options
	o.app = nil
	return newVisitor(v.t, io, o.with(opts), v.browser)
}

// Do makes a request to the app and returns its response, whose body is in memory and need not
// be closed. Cookies are sent and kept as a browser does. Redirects are not followed. The
// request can come from http.NewRequest or httptest.NewRequest, with a path or a whole URL.
func (v *Visitor) Do(req *http.Request) *http.Response {
	v.t.Helper()
	res, err := v.do(req, v.app, nil)
	if err != nil {
		v.t.Fatalf("bridgetest: %s %s: %v", req.Method, req.URL, err)
	}
	return res
}

// Get makes a GET request. See Do.
func (v *Visitor) Get(path string) *http.Response {
	v.t.Helper()
	return v.Do(v.request(http.MethodGet, path, "", nil))
}

// PostForm makes a POST request with a form. See Do.
func (v *Visitor) PostForm(path string, form url.Values) *http.Response {
	v.t.Helper()
	return v.Do(v.request(http.MethodPost, path, fiber.MIMEApplicationForm, strings.NewReader(form.Encode())))
}

// PostJSON makes a POST request with body as JSON. See Do.
func (v *Visitor) PostJSON(path string, body any) *http.Response {
	v.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		v.t.Fatalf("bridgetest: the body of %s: %v", path, err)
	}
	return v.Do(v.request(http.MethodPost, path, fiber.MIMEApplicationJSON, bytes.NewReader(data)))
}

func (v *Visitor) request(method, path, contentType string, body io.Reader) *http.Request {
	v.t.Helper()
	req, err := http.NewRequest(method, path, body)
	if err != nil {
		v.t.Fatalf("bridgetest: %v", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

// Cookies returns the cookies that the visitor sends to the app. For requests by app.Test, which
// come over plain HTTP, create the visitor with PlainHTTP.
func (v *Visitor) Cookies() []*http.Cookie { return v.jar.Cookies(v.url("")) }

// Session returns a handle of the visitor's session, to look at it and to change it from
// outside: Set and Save, Login, Regenerate, Destroy. It is released at the end of the test. The
// test fails if the visitor has no stored session.
func (v *Visitor) Session() *fibersession.Handle {
	v.t.Helper()
	var h *fibersession.Handle
	v.inSession(func(c *fiber.Ctx, sess *fibersession.Session) (err error) {
		if sess.Fresh() {
			return errors.New("the visitor has no stored session")
		}
		h, err = v.io.Config().Sessions.Lift(c)
		return err
	})
	v.t.Cleanup(h.Release)
	return h
}

// begin stores the session of the options Session and User.
func (v *Visitor) begin() {
	v.t.Helper()
	v.inSession(func(_ *fiber.Ctx, sess *fibersession.Session) error {
		for key, value := range v.options.values {
			sess.Set(key, value)
		}
		if v.options.user != nil {
			return sess.Login(v.options.user)
		}
		return sess.Save()
	})
	v.inSession(func(_ *fiber.Ctx, sess *fibersession.Session) error {
		if sess.Fresh() {
			return errors.New("the session was stored, but the visitor's next request does not present it: " +
				"if its cookie is Secure, do without the option PlainHTTP; if it has a domain, use the option Host")
		}
		return nil
	})
}

// inSession calls fn in a request of the visitor that passes the session middleware alone. It
// ends the test if fn returns an error, or if the session cannot be loaded or saved.
func (v *Visitor) inSession(fn func(c *fiber.Ctx, sess *fibersession.Session) error) {
	v.t.Helper()
	sessions := v.io.Config().Sessions
	if sessions == nil {
		v.t.Fatalf("bridgetest: the server shares no sessions: set socketbridge.Config.Sessions")
	}
	app, failed := newApp(), error(nil)
	v.io.LimitBodies(app)
	app.Use(sessions.Handler(), func(c *fiber.Ctx) error {
		sess, err := sessions.Get(c)
		if err == nil {
			err = fn(c, sess)
		}
		failed = err
		return err
	})
	res, err := v.do(v.request(http.MethodGet, "/", "", nil), app, nil)
	switch {
	case failed != nil:
		v.t.Fatalf("bridgetest: the visitor's session: %v", failed)
	case err != nil:
		v.t.Fatalf("bridgetest: the visitor's session: %v", err)
	case res.StatusCode != http.StatusOK:
		v.t.Fatalf("bridgetest: the visitor's session could not be saved: %s; the store's log has the cause", res.Status)
	}
}

// url returns the URL of a path of the site.
func (v *Visitor) url(path string) *url.URL {
	u := &url.URL{Scheme: "https", Host: v.options.host, Path: "/" + strings.TrimPrefix(path, "/")}
	if v.options.plain {
		u.Scheme = "http"
	}
	return u
}

// do passes a request to an app. With a conn, the request is the handshake that opens it.
func (v *Visitor) do(req *http.Request, app *fiber.App, k *conn) (*http.Response, error) {
	req = req.Clone(req.Context())
	if req.URL.Host == "" {
		at := *req.URL
		at.Scheme, at.Host = v.url("").Scheme, v.options.host
		req.URL, req.Host = &at, v.options.host
	}
	req.RequestURI = "" // of httptest.NewRequest
	v.mu.Lock()
	for _, header := range []http.Header{v.header, v.options.header} {
		for name, values := range header {
			if req.Header.Values(name) == nil {
				req.Header[name] = values
			}
		}
	}
	v.mu.Unlock()
	client := &http.Client{
		Jar:           v.jar,
		Transport:     &roundTripper{v: v, app: app, conn: k},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, err
	}
	v.keepHeaders(res.Header)
	return res, nil
}

// keepHeaders keeps the headers of a response that name the session.
func (v *Visitor) keepHeaders(header http.Header) {
	sessions := v.io.Config().Sessions
	if sessions == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, values := range header {
		if sessions.IsSessionHeader(name) {
			v.header[name] = values
		}
	}
}

// roundTripper implements http.RoundTripper over connections in memory.
type roundTripper struct {
	v    *Visitor
	app  *fiber.App
	conn *conn // that the request opens; otherwise nil
}

func (rt *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	nc, secure := &netConn{remote: rt.v.options.addr}, req.URL.Scheme == "https"
	var c connection = nc
	switch {
	case rt.conn != nil && secure:
		c = secureHandshakeConn{handshakeConn: handshakeConn{nc, rt.conn}}
	case rt.conn != nil:
		c = handshakeConn{nc, rt.conn}
	case secure:
		c = secureConn{netConn: nc}
	}
	return roundTrip(rt.app, req, c)
}
