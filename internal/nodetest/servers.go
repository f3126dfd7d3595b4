package nodetest

import (
	"context"
	"testing"
)

// Request is an HTTP request that Node makes.
type Request struct {
	// Method is the HTTP method.
	//
	// Optional. Default: "GET"
	Method string `json:"method,omitempty"`
	// URL is absolute. Required.
	URL string `json:"url"`
	// Header holds the headers, Cookie among them.
	//
	// Optional. Default: nil
	Header map[string]string `json:"headers,omitempty"`
	// Body is the body, when not nil.
	//
	// Optional. Default: nil
	Body *string `json:"body,omitempty"`
}

// Response is the answer to a Request. Redirects are not followed.
type Response struct {
	Status  int               `json:"status"`
	Header  map[string]string `json:"header"`
	Cookies []string          `json:"cookies"` // each Set-Cookie header
	Body    Binary            `json:"body"`
}

// Fetch makes an HTTP request with Node's fetch.
func (n *Node) Fetch(ctx context.Context, r Request) (Response, error) {
	var out Response
	err := n.do(ctx, "fetch", map[string]any{"request": r}, &out)
	return out, err
}

// File is a file that Serve serves: its text, or the file at Path.
type File struct {
	Type string  `json:"type"` // its Content-Type
	Body *string `json:"body,omitempty"`
	Path string  `json:"path,omitempty"`
}

// Serve starts the reference Socket.IO server of npm on a free port and returns
// its URL. Options are those of its constructor; files are served by their path.
// The server knows the namespaces /, /chat and /admin (which wants the auth
// {"token":"let me in"}), and on each the events of driver-servers.mjs.
func (n *Node) Serve(t testing.TB, options map[string]any, files map[string]File) string {
	t.Helper()
	number, _ := n.number()
	var url string
	n.must(t, "serve", map[string]any{"server": number, "options": options, "files": files}, &url)
	return url
}

// Script starts a WebSocket server on a free port that sends every client the
// messages, a string as text and a []byte as binary, and does nothing else: the
// peer that a client has to defend itself against. It returns its URL.
func (n *Node) Script(t testing.TB, messages ...any) string {
	t.Helper()
	number, _ := n.number()
	var url string
	n.must(t, "script", map[string]any{"server": number, "messages": outgoing(messages)}, &url)
	return url
}
