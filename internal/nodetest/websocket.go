package nodetest

import (
	"context"
	"testing"
)

// WebSocketOptions configure a WebSocket without Socket.IO.
type WebSocketOptions struct {
	// Protocols are the offered subprotocols.
	//
	// Optional. Default: nil
	Protocols []string
	// Cookie is the Cookie header. In a page, the browser's cookies are sent instead.
	//
	// Optional. Default: ""
	Cookie string
}

// WebSocket is a WebSocket of a real client, without Socket.IO. Its methods end the test if
// they fail.
type WebSocket struct {
	d      *Driver
	t      testing.TB
	number int
	queue  *eventQueue
}

// DialWebSocket opens a WebSocket, of the package ws in Node and of websocket-client in
// Python. url begins with ws://.
func (d *Driver) DialWebSocket(t testing.TB, url string, o WebSocketOptions) *WebSocket {
	t.Helper()
	w := &WebSocket{d: d, t: t}
	w.number, w.queue = d.number()
	w.open(url, o)
	return w
}

// DialWebSocket opens a WebSocket of the page.
func (p *Page) DialWebSocket(url string, o WebSocketOptions) *WebSocket {
	p.t.Helper()
	w := &WebSocket{d: p.n.Driver, t: p.t}
	w.number, w.queue = p.n.number()
	p.adopt(w.number)
	w.open(url, o)
	return w
}

func (w *WebSocket) open(url string, o WebSocketOptions) {
	w.t.Helper()
	headers := map[string]string{}
	if o.Cookie != "" {
		headers["Cookie"] = o.Cookie
	}
	w.d.must(w.t, "plain", map[string]any{"client": w.number, "url": url, "protocols": o.Protocols, "headers": headers}, nil)
	if h := w.take("open", "close"); h.event != "open" {
		w.t.Fatalf("nodetest: the WebSocket was not opened: it was closed with the code %s", h.args)
	}
}

// In returns the same WebSocket for a subtest, which its methods end if they fail.
func (w *WebSocket) In(t testing.TB) *WebSocket {
	in := *w
	in.t = t
	return &in
}

// Send sends a string as a text message, or a []byte as a binary one.
func (w *WebSocket) Send(message any) {
	w.t.Helper()
	w.d.must(w.t, "plainSend", map[string]any{"client": w.number, "message": outgoing([]any{message})[0]}, nil)
}

// Receive returns the next message: a string, a []byte, or an int, which is the close code
// and the last one. It waits for it, up to Timeout.
func (w *WebSocket) Receive() any {
	w.t.Helper()
	h := w.take("text", "binary", "close")
	switch h.event {
	case "text":
		var text string
		h.args.Bind(w.t, &text)
		return text
	case "binary":
		var data Binary
		h.args.Bind(w.t, &data)
		return []byte(data)
	}
	var code int
	h.args.Bind(w.t, &code)
	return code
}

// Close begins the close handshake.
func (w *WebSocket) Close() {
	w.t.Helper()
	w.d.must(w.t, "plainClose", map[string]any{"client": w.number}, nil)
}

func (w *WebSocket) take(events ...string) occurrence {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	h, err := w.queue.take(ctx, events...)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}
