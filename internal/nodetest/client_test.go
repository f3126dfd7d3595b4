package nodetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// All ways to connect work with all versions of the client.
func TestClients(t *testing.T) {
	t.Parallel()
	n := Start(t)
	url := n.Serve(t, nil, nil)
	for _, version := range []string{"4.8", "4.4", "4.0"} {
		for _, tt := range []struct {
			name       string
			transports []string
		}{
			{"upgrade", nil},
			{"polling", []string{"polling"}},
			{"websocket", []string{"websocket"}},
		} {
			t.Run(version+" "+tt.name, func(t *testing.T) {
				c := n.Dial(t, url, Options{Version: version, Transports: tt.transports})
				var connected struct{ ID, Transport string }
				c.MustNext(Connected).Bind(t, &connected)
				if connected.ID == "" {
					t.Error("socket has no ID")
				}
				if tt.name != "upgrade" {
					if connected.Transport != tt.name {
						t.Errorf("transport is %s, want %s", connected.Transport, tt.name)
					}
				} else { // the upgrade may be complete already
					if got := c.MustNext(Upgraded).String(); got != `["websocket"]` {
						t.Errorf("upgraded to %s", got)
					}
				}

				data := []byte{0, 1, 0xff, 0x80}
				var (
					number int
					bin    Binary
					nested struct{ Deep Binary }
				)
				c.MustCall("echo", 5, data, map[string]any{"deep": Binary(data)}).Bind(t, &number, &bin, &nested)
				if number != 5 || !bytes.Equal(bin, data) || !bytes.Equal(nested.Deep, data) {
					t.Errorf("echo returned %d, %x, %x", number, bin, nested.Deep)
				}

				c.Answer("question", "yes", data)
				if got, want := c.MustCall("ask", "question", 1).String(), `[null,"yes",{"$binary":"AAH/gA=="}]`; got != want {
					t.Errorf("answer is %s, want %s", got, want)
				}
				if got := c.MustNext("question").String(); got != "[1]" {
					t.Errorf("server asked %s", got)
				}
				c.Close()
				if got := c.MustNext(Disconnected).String(); got != `["io client disconnect"]` {
					t.Errorf("disconnect reason is %s", got)
				}
			})
		}
	}
}

// Clients in a page and in Python do the same as those in Node.
func TestClients_InAPageAndInPython(t *testing.T) {
	t.Parallel()
	n := Start(t)
	bundle := filepath.Join(Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js")
	html := `<!doctype html><script src="/bundle.js"></script>`
	url := n.Serve(t, nil, map[string]File{
		"/":          {Type: "text/html", Body: &html},
		"/bundle.js": {Type: "text/javascript", Path: bundle},
	})
	python := StartPython(t)
	page := n.Browser(t).Open(url)
	for name, dial := range map[string]func(o Options) *Client{
		"page": func(o Options) *Client { return page.Dial("/", o) },
		"sync": func(o Options) *Client {
			o.Session = python.NewHTTPSession(t, "sync")
			return python.Dial(t, url, o)
		},
		"asyncio": func(o Options) *Client {
			o.Version, o.Session = "asyncio", python.NewHTTPSession(t, "asyncio")
			return python.Dial(t, url, o)
		},
	} {
		for _, transports := range [][]string{{"polling"}, {"websocket"}} {
			t.Run(name+" "+transports[0], func(t *testing.T) {
				c := dial(Options{Transports: transports}).In(t)
				c.MustConnect()
				if got := c.State(); !got.Connected || got.Transport != transports[0] || got.ID == "" {
					t.Errorf("state is %+v", got)
				}
				want := `["häß",{"$binary":"AAH/gA=="},{"deep":{"$binary":"AAH/gA=="}}]`
				args := []any{"häß", []byte{0, 1, 0xff, 0x80}, map[string]any{"deep": Binary{0, 1, 0xff, 0x80}}}
				if got := c.MustCall("echo", args...).String(); !sameJSON(t, got, want) {
					t.Errorf("echo returned %s", got)
				}
				c.Answer("question", args...)
				if got := c.MustCall("ask", "question", 1).String(); !sameJSON(t, got, "[null,"+want[1:]) {
					t.Errorf("answer is %s", got)
				}
				if got := c.MustNext("question").String(); got != "[1]" {
					t.Errorf("server asked %s", got)
				}
				c.Emit("back", "event", args[0], args[1])
				if got := c.MustNext("event").String(); !sameJSON(t, got, `["häß",{"$binary":"AAH/gA=="}]`) {
					t.Errorf("event has %s", got)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if got, err := c.Call(ctx, "silent"); err == nil {
					t.Errorf("an event that is not acknowledged returned %s", got)
				}
				c.Close()
				c.MustNext(Disconnected)
			})
		}
	}
}

// sameJSON compares two JSON texts by their values.
func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func TestEventsAreKeptInOrder(t *testing.T) {
	t.Parallel()
	n := Start(t)
	c := n.Connect(t, n.Serve(t, nil, nil), Options{})
	for i := range 3 {
		c.Emit("back", "number", i)
	}
	c.MustCall("echo") // answered after the three events
	if got := c.Waiting("number"); got != 3 {
		t.Errorf("%d events are waiting, want 3", got)
	}
	for i, want := range []string{"[0]", "[1]", "[2]"} {
		if got := c.MustNext("number").String(); got != want {
			t.Errorf("event %d is %s, want %s", i, got, want)
		}
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	n := Start(t)
	url := n.Serve(t, nil, nil)
	for _, transport := range []string{"polling", "websocket"} {
		for _, version := range []string{"4.8", "4.0"} {
			t.Run(transport+" "+version, func(t *testing.T) {
				c := n.Connect(t, url, Options{
					Version: version, Transports: []string{transport},
					Cookie: "a=1; b=2", Auth: map[string]string{"who": "me"}, Query: map[string]string{"q": "x"},
				})
				var got struct {
					Auth, Query map[string]string
					Cookie      string
				}
				c.MustCall("handshake").Bind(t, &got)
				if got.Cookie != "a=1; b=2" || got.Auth["who"] != "me" || got.Query["q"] != "x" {
					t.Errorf("server received %+v", got)
				}
			})
		}
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	n := Start(t)
	url := n.Serve(t, nil, nil)
	c := n.Connect(t, url, Options{})
	chat := c.Of("/chat", nil)
	if a, b := c.State(), chat.State(); a.Engine != b.Engine || a.ID == b.ID || a.Engine == "" {
		t.Errorf("states of two namespaces on one connection are %+v and %+v", a, b)
	}

	refused := c.DialOf("/admin", nil)
	var why struct {
		Message string
		Data    struct{ Code int }
	}
	refused.MustNext(ConnectError).Bind(t, &why)
	if why.Message != "not authorized" || why.Data.Code != 7 {
		t.Errorf("connect_error is %+v", why)
	}
	refused.SetAuth(map[string]string{"token": "let me in"})
	refused.Close()
	refused.Reconnect()

	chat.Emit("leave")
	if got := chat.MustNext(Disconnected).String(); got != `["io server disconnect"]` {
		t.Errorf("disconnect reason is %s", got)
	}
	if !c.State().Connected {
		t.Error("the other namespace is disconnected too")
	}
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	n := Start(t)
	c := n.Connect(t, n.Serve(t, nil, nil), Options{Reconnect: true, Transports: []string{"websocket"}})
	before := c.State()
	c.Emit("drop")
	if got := c.MustNext(Disconnected).String(); got != `["transport close"]` {
		t.Errorf("disconnect reason is %s", got)
	}
	c.MustNext(ReconnectAttempt)
	c.MustNext(Connected)
	if after := c.State(); after.ID == before.ID || !after.Connected {
		t.Errorf("state is %+v before and %+v after reconnecting", before, after)
	}
	c.Cut()
	c.MustNext(Disconnected)
	c.MustNext(Connected)
}

func TestSendRaw(t *testing.T) {
	t.Parallel()
	n := Start(t)
	url := n.Serve(t, nil, nil)
	for _, tt := range []struct {
		name string
		send []any
		want string
	}{
		{"unknown type", []any{"9"}, `["transport close"]`},
		{"binary out of turn", []any{[]byte("x")}, `["transport close"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := n.Connect(t, url, Options{Transports: []string{"websocket"}})
			c.SendRaw(tt.send...)
			if got := c.MustNext(Disconnected).String(); got != tt.want {
				t.Errorf("disconnect reason is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	n := Start(t)
	url := n.Serve(t, nil, nil)
	c := n.Connect(t, url, Options{})

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Call(ctx, "silent"); err == nil {
		t.Error("Call succeeded without an answer")
	}
	if _, err := c.Next(ctx, "never"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next returned %v for an event that did not occur", err)
	}
	if err := n.do(t.Context(), "nonsense", nil, nil); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an unknown command returned %v", err)
	}

	refused := n.Dial(t, "http://127.0.0.1:1/", Options{})
	refused.MustNext(ConnectError)
}

func TestFetch(t *testing.T) {
	t.Parallel()
	n := Start(t)
	body := "hello"
	url := n.Serve(t, nil, map[string]File{"/hello": {Type: "text/plain", Body: &body}})
	got, err := n.Fetch(t.Context(), Request{URL: url + "/hello", Header: map[string]string{"Cookie": "a=1"}})
	if err != nil || got.Status != 200 || string(got.Body) != "hello" || got.Header["content-type"] != "text/plain" {
		t.Errorf("fetched %+v, error %v", got, err)
	}
}

// When the process ends unexpectedly, pending calls return ErrEnded and the test fails.
func TestProcessEnds(t *testing.T) {
	t.Parallel()
	rec := &recorder{TB: t}
	n := Start(rec)
	c := &Client{d: n.Driver, t: t}
	c.number, c.queue = n.number()
	n.cmd.Process.Kill()
	if _, err := c.Next(t.Context(), "anything"); !errors.Is(err, ErrEnded) {
		t.Errorf("Next returned %v, want ErrEnded", err)
	}
	<-n.done
	if err := n.do(t.Context(), "state", nil, nil); !errors.Is(err, ErrEnded) {
		t.Errorf("do returned %v, want ErrEnded", err)
	}
	if !rec.failed {
		t.Error("the test did not fail although the process was killed")
	}
}

// recorder is a testing.TB that records failures.
type recorder struct {
	testing.TB
	failed bool // written before Node.done is closed
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestMissingToolsFailInCI(t *testing.T) {
	for _, tt := range []struct {
		ci, want string
	}{{"true", "fatal"}, {"", "skip"}} {
		t.Run("CI="+tt.ci, func(t *testing.T) {
			t.Setenv("CI", tt.ci)
			t.Setenv("PATH", "")
			stub := &outcome{TB: t}
			ended := make(chan struct{})
			go func() { // Fatalf and Skipf end it
				defer close(ended)
				Start(stub)
			}()
			<-ended
			if stub.how != tt.want {
				t.Errorf("without node the test ended with %q, want %q", stub.how, tt.want)
			}
		})
	}
}

// outcome is a testing.TB that records how the test was ended.
type outcome struct {
	testing.TB
	how string
}

func (o *outcome) Fatalf(format string, args ...any) { o.how = "fatal"; runtime.Goexit() }
func (o *outcome) Skipf(format string, args ...any)  { o.how = "skip"; runtime.Goexit() }
