package socketbridge_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// agent is an HTTP client with a cookie jar.
type agent struct {
	t    testing.TB
	site *site
	http *http.Client
}

// do makes a request that must succeed and returns the body.
func (a *agent) do(method, path string) string {
	a.t.Helper()
	body, status, err := a.try(method, path)
	if err != nil || status != 200 {
		a.t.Fatalf("%s %s: got status %d, body %s and error %v, want 200", method, path, status, body, err)
	}
	return body
}

func (a *agent) try(method, path string) (body string, status int, err error) {
	req, err := http.NewRequest(method, a.site.url+path, nil)
	if err != nil {
		return "", 0, err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), res.StatusCode, err
}

func (a *agent) get(path string) string { a.t.Helper(); return a.do("GET", path) }

func (a *agent) post(path string) string { a.t.Helper(); return a.do("POST", path) }

// cookie returns the Cookie header that the agent sends.
func (a *agent) cookie() string {
	u, err := url.Parse(a.site.url)
	if err != nil {
		a.t.Fatal(err)
	}
	var all []string
	for _, c := range a.http.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// sessionID returns the session ID in the cookie.
func (a *agent) sessionID() string {
	_, id, _ := strings.Cut(a.cookie(), "=")
	return id
}

// connect opens a socket with the agent's cookie.
func (a *agent) connect(n *nodetest.Node, namespace string, o nodetest.Options) *nodetest.Client {
	a.t.Helper()
	o.Cookie = a.cookie()
	return n.Connect(a.t, a.site.url+namespace, o)
}

// onSite returns the same browser on another site. Cookies do not depend on the port.
func (a *agent) onSite(s *site) *agent { return &agent{t: a.t, site: s, http: a.http} }

// poller speaks the polling transport by hand, so that a test can choose the cookie of
// every request.
type poller struct {
	a   *agent
	sid string
}

// poller opens a connection with the browser's cookie and joins the root namespace.
func (a *agent) poller() *poller {
	a.t.Helper()
	p := &poller{a: a}
	a.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	_, rest, _ := strings.Cut(p.receive(a.cookie()), `"sid":"`)
	p.sid, _, _ = strings.Cut(rest, `"`)
	if status := p.send(a.cookie(), "40"); status != 200 {
		a.t.Fatalf("CONNECT got status %d, want 200", status)
	}
	if got := p.receive(a.cookie()); !strings.HasPrefix(got, "40{") {
		a.t.Fatalf("CONNECT was answered with %q, want 40{...}", got)
	}
	return p
}

func (p *poller) send(cookie, body string) int {
	p.a.t.Helper()
	_, status := p.do("POST", cookie, body)
	return status
}

func (p *poller) receive(cookie string) string {
	p.a.t.Helper()
	got, _ := p.do("GET", cookie, "")
	return got
}

func (p *poller) do(method, cookie, body string) (string, int) {
	p.a.t.Helper()
	url := p.a.site.url + "/socket.io/?EIO=4&transport=polling"
	if p.sid != "" {
		url += "&sid=" + p.sid
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		p.a.t.Fatal(err)
	}
	req.Header.Set("Cookie", cookie)
	if method == "POST" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.a.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	p.a.http.Jar.SetCookies(req.URL, res.Cookies())
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.a.t.Fatal(err)
	}
	return string(b), res.StatusCode
}

// ask makes a request with headers and returns the response and its body.
func (a *agent) ask(method, path string, headers ...string) (*http.Response, string) {
	a.t.Helper()
	req, err := http.NewRequest(method, a.site.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := a.http.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return res, string(body)
}

// ticket fetches a ticket, as a page of the origin does.
func (a *agent) ticket(origin string) string {
	a.t.Helper()
	var headers []string
	if origin != "" {
		headers = []string{"Origin", origin}
	}
	res, body := a.ask("POST", "/socket.io/ticket", headers...)
	var got struct{ Ticket string }
	if err := json.Unmarshal([]byte(body), &got); res.StatusCode != 200 || err != nil || len(got.Ticket) != 43 {
		a.t.Fatalf("fetching a ticket: got status %d and body %s, want 200 and a ticket", res.StatusCode, body)
	}
	return got.Ticket
}

func withTicket(ticket any) map[string]any { return map[string]any{"ticket": ticket} }

// deviceList returns the devices of the agent's user.
func (a *agent) deviceList() (list []fibersession.Device) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.get("/devices")), &list); err != nil {
		a.t.Fatal(err)
	}
	return list
}

// currentDevice returns the ID of the agent's own device.
func (a *agent) currentDevice() string {
	a.t.Helper()
	for _, d := range a.deviceList() {
		if d.Current {
			return d.ID
		}
	}
	a.t.Fatal("the agent is not among its user's devices")
	return ""
}

// setCookie adds a cookie to the agent's jar.
func (a *agent) setCookie(name, value string) {
	a.t.Helper()
	u, err := url.Parse(a.site.url)
	if err != nil {
		a.t.Fatal(err)
	}
	a.http.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}
