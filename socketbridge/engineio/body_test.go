package engineio_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/compress"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// postHeader returns the header of a post of text.
func postHeader(target string, headers ...string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// chunked returns a body in chunks of 10,000 bytes.
func chunked(body string) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(len(body), 10_000)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// heap returns the bytes that are in use after a garbage collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // also of what pools keep
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Row 63: 300 clients announce 4 MiB each and send the first bytes of them. They cost what they
// have sent, on the engine's path and on the app's, and also as forms.
func TestBodies_AnnouncedBytesCostNothing(t *testing.T) {
	const n, limit = 300, 30 << 20
	s := open(t, &transporttest.Recorder{}, engineio.Config{}, siteOptions{behind: func(app *fiber.App) {
		app.Post("/app", func(c *fiber.Ctx) error { return c.SendStatus(204) })
	}})
	p := s.openPoll()
	for name, tt := range map[string]struct {
		header string
		counts bool // the bytes that have arrived are read
	}{
		"the app":                   {postHeader("/app", "Content-Length: 4000000"), true},
		"a form":                    {"POST /app HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 4000000\r\n\r\n", true},
		"a form that is too large":  {"POST /app HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000000\r\n\r\n", false},
		"an unknown connection":     {postHeader("/socket.io/?"+polling+"&sid=unknown", "Content-Length: 1000000"), false},
		"another origin":            {postHeader("/socket.io/?"+p.query(), "Content-Length: 1000000", "Origin: https://evil.example"), false},
		"larger than MaxPayload":    {postHeader("/socket.io/?"+p.query(), "Content-Length: 4000000"), false},
		"with Expect: 100-continue": {postHeader("/app", "Content-Length: 4000000", "Expect: 100-continue"), true},
	} {
		before := heap()
		var conns []net.Conn
		for range n {
			nc := s.dial()
			conns = append(conns, nc)
			_, _ = io.WriteString(nc, tt.header+strings.Repeat("4", 9000))
		}
		if tt.counts {
			waitFor(t, func() bool { return s.engine.Stats().BodyBytes == n*32<<10 })
		} else {
			for _, nc := range conns { // answered before the body has arrived, and closed
				if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.StatusCode < 400 || !res.Close {
					t.Fatalf("%s: %v, %+v", name, err, res)
				}
			}
		}
		if grown := int64(heap()) - int64(before); grown > limit {
			t.Errorf("%s: %d announced bodies take %d KiB each", name, n, grown/n>>10)
		}
		for _, nc := range conns {
			nc.Close()
		}
		waitFor(t, func() bool { return s.engine.Stats().BodyBytes == 0 })
	}
}

// Rows 13, 63: of many posts to one connection at the same time, one body at most is in memory.
// The others are refused before they are read, and end the connection.
func TestBodies_OnePostIsReadAtATime(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		s := open(t, &transporttest.Recorder{}, engineio.Config{})
		p := s.openPoll()
		a := s.nextConn()
		first := "4" + strings.Repeat("x", 9000)
		if strings.HasPrefix(framing, "T") {
			first = "f4240\r\n" + first
		}
		nc := s.dial()
		_, _ = io.WriteString(nc, postHeader("/socket.io/?"+p.query(), framing)+first)
		waitFor(t, func() bool { return s.engine.Stats().BodyBytes > 0 })
		for range 49 {
			other := s.dial()
			_, _ = io.WriteString(other, postHeader("/socket.io/?"+p.query(), framing)+first)
			if res, err := http.ReadResponse(bufio.NewReader(other), nil); err != nil || res.StatusCode != 400 || !res.Close {
				t.Fatalf("%s: a post at the same time got %+v, %v", framing, res, err)
			}
			if used := s.engine.Stats().BodyBytes; used > 32<<10 {
				t.Fatalf("%s: %d bytes of bodies are in memory", framing, used)
			}
		}
		if cause := s.waitForEnd(a, transport.TransportError); !errors.Is(cause, engineio.ErrOverlap) {
			t.Errorf("%s: the connection ended with %v", framing, cause)
		}
		nc.Close()
		waitFor(t, func() bool { return s.engine.Stats().BodyBytes == 0 })
	}
}

// Row 63: all bodies together have a limit. Small ones do not count.
func TestBodies_TogetherHaveALimit(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{}, siteOptions{maxBodies: 100 << 10, behind: func(app *fiber.App) {
		app.Post("/app", func(c *fiber.Ctx) error { return c.SendString(fmt.Sprint(len(c.Body()))) })
	}})
	blocker := s.dial()
	_, _ = io.WriteString(blocker, postHeader("/app", "Content-Length: 90000")+strings.Repeat("x", 70_000))
	waitFor(t, func() bool { return s.engine.Stats().BodyBytes == 90_000 })
	p := s.openPoll()
	large := "4" + strings.Repeat("x", 20_000)
	if a := p.post(large); a.status != 503 || a.header.Get("Retry-After") != "1" || a.code() != 3 {
		t.Errorf("a large post got %d %s", a.status, a.body)
	}
	if a := p.post("4small"); a.status != 200 {
		t.Errorf("a small post got %d %s", a.status, a.body)
	}
	res, err := s.client.Post("http://"+s.addr+"/app", "text/plain", strings.NewReader(large))
	if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || !res.Close {
		t.Errorf("the app's route: %v, %+v", err, res)
	}
	if err == nil {
		res.Body.Close()
	}
	_, _ = io.WriteString(blocker, strings.Repeat("x", 20_000))
	if res, err := http.ReadResponse(bufio.NewReader(blocker), nil); err != nil || res.StatusCode != 200 || res.Close {
		t.Errorf("the body that was counted: %v, %+v", err, res)
	}
	waitFor(t, func() bool { return s.engine.Stats().BodyBytes == 0 })
	if a := p.post(large); a.status != 200 {
		t.Errorf("afterwards, a large post got %d %s", a.status, a.body)
	}
}

// form returns a form with a field and a file.
func form(size int) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("name", "ada")
	f, _ := w.CreateFormFile("file", "a.txt")
	_, _ = io.WriteString(f, strings.Repeat("f", size))
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

// With LimitBodies the app's routes get the same requests as without, and clients the same
// responses. Only the connection can be closed where it was not.
func TestBodies_TheAppSeesNoDifference(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	behind := func(app *fiber.App) {
		app.All("/echo", func(c *fiber.Ctx) error {
			return c.SendString(fmt.Sprintf("%s %d %x", c.Method(), len(c.Body()), c.Body()[:min(len(c.Body()), 100)]))
		})
		app.Post("/form", func(c *fiber.Ctx) error {
			text, size := c.FormValue("name"), int64(-1)
			if f, err := c.FormFile("file"); err == nil {
				size = f.Size
			}
			return c.SendString(fmt.Sprintf("%s %d", text, size))
		})
		app.Post("/ignore", func(c *fiber.Ctx) error { return c.SendString("not read") })
	}
	cfg := fiber.Config{BodyLimit: limit}
	with := open(t, echoRecorder(), engineio.Config{}, siteOptions{fiber: cfg, behind: behind})
	without := open(t, echoRecorder(), engineio.Config{}, siteOptions{fiber: cfg, behind: behind, noLimits: true})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, strings.Repeat("z", 50_000))
	_ = z.Close()
	small, smallType := form(100)
	big, bigType := form(50_000)
	huge, hugeType := form(limit)
	size := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	next := "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for name, request := range map[string]string{
		"no body":                       "POST /echo HTTP/1.1\r\nHost: a\r\n\r\n",
		"small":                         "POST /echo HTTP/1.1\r\nHost: a\r\n" + size("abc"),
		"8 KiB":                         "POST /echo HTTP/1.1\r\nHost: a\r\n" + size(strings.Repeat("x", 8<<10)),
		"large":                         "POST /echo HTTP/1.1\r\nHost: a\r\n" + size(strings.Repeat("x", 90_000)),
		"at the limit":                  "POST /echo HTTP/1.1\r\nHost: a\r\n" + size(strings.Repeat("x", limit)),
		"over the limit":                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n" + strings.Repeat("x", 8<<10),
		"chunks":                        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(strings.Repeat("x", 30_000)),
		"no chunks":                     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(""),
		"chunks over the limit":         "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(strings.Repeat("x", limit+1)),
		"broken chunks":                 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"a GET with a body":             "GET /echo HTTP/1.1\r\nHost: a\r\n" + size(strings.Repeat("x", 20_000)),
		"a PUT":                         "PUT /echo HTTP/1.1\r\nHost: a\r\n" + size(strings.Repeat("x", 20_000)),
		"Expect":                        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + size(strings.Repeat("x", 20_000)),
		"gzip":                          "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n" + size(zipped.String()),
		"a body that the route ignores": "POST /ignore HTTP/1.1\r\nHost: a\r\n" + size(strings.Repeat("x", 20_000)),
		"no route":                      "POST /missing HTTP/1.1\r\nHost: a\r\n" + size(next+strings.Repeat("x", 20_000)),
		"an unknown method":             "BREW /echo HTTP/1.1\r\nHost: a\r\n" + size(strings.Repeat("x", 20_000)+next),
		"an urlencoded form":            "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n" + size("x="+strings.Repeat("x", 20_000)+"&name=ada"),
		"a small form":                  "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: " + smallType + "\r\n" + size(small),
		"a form with a file":            "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: " + bigType + "\r\n" + size(big),
		"a form that is too large":      "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: " + hugeType + "\r\n" + size(huge),
		"HTTP/1.0":                      "POST /echo HTTP/1.0\r\nHost: a\r\n" + size(strings.Repeat("x", 20_000)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, want := converse(with, request, next), converse(without, request, next)
			if strings.Contains(request, "chunked") && len(got) == 1 && len(want) == 2 {
				want = want[:1] // after chunks, the connection is closed
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("with LimitBodies %q, without %q", got, want)
			}
		})
	}
}

// converse sends two requests on one connection. It returns the responses without their headers.
func converse(s *site, requests ...string) (responses []string) {
	nc := s.dial()
	go func() { // ends when the connection is closed
		for _, r := range requests {
			_, _ = io.WriteString(nc, r)
		}
	}()
	r := bufio.NewReader(nc)
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return responses
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode == 100 {
			continue
		}
		responses = append(responses, fmt.Sprint(res.StatusCode, " ", string(body)))
	}
}

// Row 63: an app that reads streams itself keeps them. A body that a route leaves unread is not
// taken for the next request.
func TestBodies_StreamsOfTheApp(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{}, siteOptions{fiber: fiber.Config{StreamRequestBody: true, BodyLimit: 1 << 20}, behind: func(app *fiber.App) {
		app.Post("/stream", func(c *fiber.Ctx) error {
			n, err := io.Copy(io.Discard, c.Context().RequestBodyStream())
			return c.SendString(fmt.Sprint(n, err))
		})
		app.Post("/ignore", func(c *fiber.Ctx) error { return c.SendString("not read") })
	}})
	next := "GET /socket.io/ HTTP/1.1\r\nHost: a\r\n\r\n"
	post := func(path string, n int) string {
		body := strings.Repeat(next, n)
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	if got := converse(s, post("/stream", 1000)+next); len(got) != 1 || got[0] != fmt.Sprintf("200 %d <nil>", 1000*len(next)) {
		t.Errorf("the stream: %q", got)
	}
	if got := converse(s, post("/ignore", 1000)+next); len(got) != 1 || got[0] != "200 not read" {
		t.Errorf("an unread body: %.200q", got)
	}
	if got := converse(s, post("/ignore", 10)+strings.Replace(next, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)); len(got) != 2 {
		t.Errorf("a small unread body: %q", got)
	}
}

// Row 63: a post over a dead or slow connection holds up neither Shutdown nor the connection's
// other requests.
func TestBodies_SlowPostDoesNotHoldUpTheConnection(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	p := s.openPoll()
	a := s.nextConn()
	nc := s.dial()
	_, _ = io.WriteString(nc, postHeader("/socket.io/?"+p.query(), "Content-Length: 1000000")+strings.Repeat("4", 9000))
	waitFor(t, func() bool { return s.engine.Stats().BodyBytes > 0 })
	if err := a.Conn.Send(0, transport.Message{Data: []byte("still polling")}); err != nil {
		t.Fatal(err)
	}
	if got := p.get(); got.status != 200 || got.body != "4still polling" {
		t.Errorf("the poll got %d %s", got.status, got.body)
	}
	a.Conn.Close(transport.ForcedClose)
	p.get()
	s.waitForEnd(a, transport.ForcedClose)
	if err := s.engine.Shutdown(s.context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	nc.Close()
}

// A post whose client leaves is no post, in whatever form it was sent.
func TestBodies_CutOffPosts(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{}, siteOptions{behind: func(app *fiber.App) {
		app.Post("/app", func(c *fiber.Ctx) error { t.Errorf("the app got %d bytes", len(c.Body())); return nil })
	}})
	p := s.openPoll()
	a := s.nextConn()
	for _, path := range []string{"/socket.io/?" + p.query(), "/app"} {
		for _, cut := range []string{
			postHeader(path, "Content-Length: 20000") + "4" + strings.Repeat("x", 15_000),
			postHeader(path, "Content-Length: 5000") + "4x",
			postHeader(path, "Transfer-Encoding: chunked") + strings.TrimSuffix(chunked("4"+strings.Repeat("x", 9_999)), "0\r\n\r\n"),
		} {
			nc := s.dial().(*net.TCPConn)
			_, _ = io.WriteString(nc, cut)
			_ = nc.CloseWrite()
			if res, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || res.StatusCode != 400 {
				t.Errorf("%.60q: %v, %+v", cut, err, res)
			}
		}
	}
	if p.post("4whole"); string(a.Received()[0].Data) != "whole" {
		t.Errorf("the receiver got %v", a.Received())
	}
}

// slowConns counts the connections that are open, and gives each a small send buffer.
type slowConns struct {
	net.Listener
	mu   sync.Mutex
	open int
	last time.Time // the last write deadline that was set
}

func (l *slowConns) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_ = nc.(*net.TCPConn).SetWriteBuffer(4 << 10)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
	return &slowConn{Conn: nc, list: l}, nil
}

func (l *slowConns) count() int { l.mu.Lock(); defer l.mu.Unlock(); return l.open }

func (l *slowConns) deadline() time.Time { l.mu.Lock(); defer l.mu.Unlock(); return l.last }

type slowConn struct {
	net.Conn
	list   *slowConns
	closed sync.Once
}

func (c *slowConn) SetWriteDeadline(t time.Time) error {
	c.list.mu.Lock()
	c.list.last = t
	c.list.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

func (c *slowConn) Close() error {
	c.closed.Do(func() { c.list.mu.Lock(); defer c.list.mu.Unlock(); c.list.open-- })
	return c.Conn.Close()
}

// Row 64: clients that never read the answer to their poll are cut off within Timeouts.Write,
// and what was sent to them is freed, although the app has no WriteTimeout.
func TestPolls_AnswersThatAreNotRead(t *testing.T) {
	const n, size = 20, 900_000
	list := &slowConns{}
	s := open(t, &transporttest.Recorder{}, engineio.Config{Timeouts: engineio.Timeouts{Write: 200 * time.Millisecond}},
		siteOptions{wrap: func(ln net.Listener) net.Listener { list.Listener = ln; return list }})
	before := heap()
	var accepted []*transporttest.Accepted
	for range n {
		p := s.openPoll()
		a := s.nextConn()
		accepted = append(accepted, a)
		if err := a.Conn.Send(0, transport.Message{Data: bytes.Repeat([]byte("x"), size)}); err != nil {
			t.Fatal(err)
		}
		nc := s.dial()
		_ = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
		_, _ = io.WriteString(nc, "GET /socket.io/?"+p.query()+" HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	for _, a := range accepted {
		if cause := s.waitForEnd(a, transport.TransportError); cause == nil || !strings.Contains(cause.Error(), "Config.Timeouts.Write") {
			t.Errorf("the connection ended with %v", cause)
		}
	}
	s.client.CloseIdleConnections()
	waitFor(t, func() bool { return list.count() == 0 })
	if got := s.engine.Stats(); got.SlowClosed != n || got.Notices["slow_client"] != n {
		t.Errorf("counted %d, notices %v", got.SlowClosed, got.Notices)
	}
	if grown := int64(heap()) - int64(before); grown > n*size/4 {
		t.Errorf("%d bytes are still in use", grown)
	}
}

// Row 64: the deadline of a poll does not apply to the next response on its connection.
func TestPolls_DeadlineEndsWithTheAnswer(t *testing.T) {
	t.Parallel()
	list := &slowConns{}
	s := open(t, &transporttest.Recorder{}, engineio.Config{}, siteOptions{wrap: func(ln net.Listener) net.Listener { list.Listener = ln; return list }})
	p := s.openPoll()
	a := s.nextConn()
	for _, size := range []int{1, 300_000} {
		if err := a.Conn.Send(0, transport.Message{Data: bytes.Repeat([]byte("x"), size)}); err != nil {
			t.Fatal(err)
		}
		if got := p.get(); len(got.body) != size+1 || got.header.Get("Content-Length") != fmt.Sprint(size+1) {
			t.Errorf("the poll got %d of %d bytes, %v", len(got.body), size, got.header)
		}
		p.post("3") // is handled after the response was written
		if d := list.deadline(); !d.IsZero() {
			t.Errorf("after the answer of %d bytes, the write deadline is %v", size, d)
		}
	}
	if list.count() != 1 {
		t.Errorf("the client needed %d connections", list.count())
	}
}

// Row 64: also over TLS, and behind a middleware that compresses responses.
func TestPolls_AnswersOverTLSAndCompression(t *testing.T) {
	t.Parallel()
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	cert.Close()
	s := open(t, &transporttest.Recorder{}, engineio.Config{Timeouts: engineio.Timeouts{Write: 200 * time.Millisecond}}, siteOptions{
		wrap: func(ln net.Listener) net.Listener {
			return tls.NewListener(ln, &tls.Config{Certificates: cert.TLS.Certificates})
		},
		before: func(app *fiber.App) { app.Use(compress.New()) },
	})
	s.client = &http.Client{Transport: &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: waitLimit}
	s.secure = true
	p := s.openPoll()
	a := s.nextConn()
	body := strings.Repeat("x", 900_000)
	if err := a.Conn.Send(0, transport.Message{Data: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	p.headers = []string{"Accept-Encoding", "gzip"}
	if got := p.get(); got.body != "4"+body || got.header.Get("Content-Encoding") != "" {
		t.Errorf("the poll got %d bytes, %v", len(got.body), got.header)
	}
	if err := a.Conn.Send(0, transport.Message{Data: []byte(strings.Repeat(body, 8))}); err != nil { // more than the buffers of the network take
		t.Fatal(err)
	}
	nc := tls.Client(s.dial(), &tls.Config{InsecureSkipVerify: true})
	_, _ = io.WriteString(nc, "GET /socket.io/?"+p.query()+" HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
	if cause := s.waitForEnd(a, transport.TransportError); cause == nil || !strings.Contains(cause.Error(), "Config.Timeouts.Write") {
		t.Errorf("the connection ended with %v", cause)
	}
}
