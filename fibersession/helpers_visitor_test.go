package fibersession_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
)

// visitor is an HTTP client with a cookie jar, over TCP.
type visitor struct {
	t      testing.TB
	site   string
	client *http.Client
}

// newVisitors serves app until the test ends, and returns a function that makes visitors.
func newVisitors(t *testing.T, app *fiber.App) func() *visitor {
	t.Helper()
	site := "http://" + serve(t, app)
	return func() *visitor {
		jar, err := cookiejar.New(nil)
		must(t, err)
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		return &visitor{t, site, &http.Client{Jar: jar, Transport: transport}}
	}
}

func (v *visitor) get(path string) response { return v.do(http.MethodGet, path, nil) }

func (v *visitor) post(path string, form url.Values) response {
	return v.do(http.MethodPost, path, form)
}

// do makes a request. Headers are pairs of a name and a value.
func (v *visitor) do(method, path string, form url.Values, headers ...string) response {
	v.t.Helper()
	req, err := http.NewRequest(method, v.site+path, strings.NewReader(form.Encode()))
	must(v.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := v.client.Do(req)
	must(v.t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	must(v.t, err)
	return response{res.StatusCode, string(body), res.Header, res.Cookies()}
}

// sessionID returns the value of the session cookie, or "".
func (v *visitor) sessionID() string {
	site, err := url.Parse(v.site)
	must(v.t, err)
	for _, c := range v.client.Jar.Cookies(site) {
		if c.Name == "session" {
			return c.Value
		}
	}
	return ""
}
