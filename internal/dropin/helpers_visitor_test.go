package dropin_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// host is what visitors type. It is neither loopback nor known to any name server: the site
// connects to the program's address instead.
const host = "shop.example.test"

// The ways from a visitor to the app.
const (
	overHTTP  = "http"
	overHTTPS = "https"
	overProxy = "proxy" // https to a proxy, which forwards over http and says so
)

// site is one app, reached in one way.
type site struct {
	app    served
	scheme string
	client *http.Client
	url    *url.URL
}

func newSite(t *testing.T, app served, scheme string) *site {
	t.Helper()
	s := &site{app: app, scheme: scheme, url: &url.URL{Scheme: "https", Host: host, Path: "/"}}
	address := app.HTTP
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	transport := &http.Transport{DialContext: dial}
	switch scheme {
	case overHTTP:
		s.url.Scheme = "http"
	case overHTTPS:
		address = app.HTTPS
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	case overProxy:
		transport.DialTLSContext = dial // the test is the proxy
	}
	s.client = &http.Client{
		Transport:     transport,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// visitor is a browser, or a client that carries the session's ID in a header.
type visitor struct {
	site   *site
	jar    *cookiejar.Jar
	header map[string]string
}

func (s *site) newVisitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it is documented to return nil
	}
	return &visitor{site: s, jar: jar, header: map[string]string{}}
}

// clone returns a visitor with the same cookies and headers.
func (v *visitor) clone() *visitor {
	c := v.site.newVisitor()
	maps.Copy(c.header, v.header)
	c.jar.SetCookies(v.site.url, v.jar.Cookies(v.site.url))
	return c
}

// setCookie gives the visitor a cookie.
func (v *visitor) setCookie(name, value string) {
	v.jar.SetCookies(v.site.url, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// sessionCookie returns the value of the visitor's session cookie, or "".
func (v *visitor) sessionCookie() string {
	value := ""
	for _, c := range v.jar.Cookies(v.site.url) {
		if isSessionCookie(c.Name) {
			value += c.Value
		}
	}
	return value
}

// isSessionCookie reports whether a cookie is the app's session cookie. The others belong to
// csrf and goth_fiber.
func isSessionCookie(name string) bool { return name != "csrf_" && name != "_gothic_session" }

// response is what a visitor gets.
type response struct {
	status   int
	location string
	body     string
	header   http.Header
	cookies  []*http.Cookie
}

// send makes a request. With follow, it follows redirects as browsers do.
func (v *visitor) send(method, target string, form url.Values, follow bool) (response, error) {
	r, err := v.request(method, target, form)
	if err != nil {
		return response{}, err
	}
	v.accept(r)
	for n := 0; follow && r.location != ""; n++ {
		if n == 10 {
			return response{}, errors.New("more than 10 redirects")
		}
		if r, err = v.request(http.MethodGet, r.location, nil); err != nil {
			return response{}, err
		}
		v.accept(r)
	}
	return r, nil
}

// request makes one request and leaves the jar as it is.
func (v *visitor) request(method, target string, form url.Values) (response, error) {
	u, err := v.site.url.Parse(target)
	if err != nil {
		return response{}, err
	}
	req, err := http.NewRequest(method, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return response{}, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Referer", v.site.url.String())
	if v.site.scheme == overProxy {
		req.Header.Set("X-Forwarded-Proto", "https")
		req.Header.Set("X-Forwarded-For", "203.0.113.7")
	}
	for name, value := range v.header {
		req.Header.Set(name, value)
	}
	for _, c := range v.jar.Cookies(u) {
		req.AddCookie(c)
	}
	res, err := v.site.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return response{}, err
	}
	return response{
		status: res.StatusCode, location: res.Header.Get("Location"), body: string(body), header: res.Header, cookies: res.Cookies(),
	}, nil
}

// accept puts the response's cookies into the jar, as browsers do: they refuse Secure cookies
// over http, and cookies that break the rules of their name's prefix.
func (v *visitor) accept(r response) {
	var accepted []*http.Cookie
	for _, c := range r.cookies {
		secure := c.Secure && v.site.scheme != overHTTP
		switch {
		case c.Secure && !secure,
			strings.HasPrefix(c.Name, "__Secure-") && !secure,
			strings.HasPrefix(c.Name, "__Host-") && (!secure || c.Path != "/" || c.Domain != ""):
		default:
			accepted = append(accepted, c)
		}
	}
	v.jar.SetCookies(v.site.url, accepted)
}
