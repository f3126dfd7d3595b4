package nodetest

import (
	"context"
	"testing"
)

// Request is an HTTP request to be sent by Node.
type Request struct {
	// Method is the HTTP method.
	//
	// Optional. Default: "GET"
	Method string `json:"method,omitempty"`
	// URL is absolute. Required.
	URL string `json:"url"`
	// Header contains the headers, including Cookie.
	//
	// Optional. Default: nil
	Header map[string]string `json:"headers,omitempty"`
	// Body is the request body. Nil means none.
	//
	// Optional. Default: nil
	Body *string `json:"body,omitempty"`
}

// Response is the response to a Request. Redirects are not followed.
type Response struct {
	Status  int               `json:"status"`
	Header  map[string]string `json:"header"`
	Cookies []string          `json:"cookies"` // all Set-Cookie headers
	Body    Binary            `json:"body"`
}

// Fetch sends an HTTP request with Node's fetch.
func (n *Node) Fetch(ctx context.Context, r Request) (Response, error) {
	var out Response
	err := n.do(ctx, "fetch", map[string]any{"request": r}, &out)
	return out, err
}

// File is a file for Serve, with either its text or its path.
type File struct {
	Type string  `json:"type"` // its Content-Type
	Body *string `json:"body,omitempty"`
	Path string  `json:"path,omitempty"`
}

// Serve starts the reference Socket.IO server of npm on a free port and returns its URL.
// options are those of its constructor; files are served by path. The server has the
// namespaces /, /chat and /admin, which requires the auth {"token":"let me in"}. Each has
// the event handlers of driver-servers.mjs.
func (n *Node) Serve(t testing.TB, options map[string]any, files map[string]File) string {
	t.Helper()
	number, _ := n.number()
	var url string
	n.must(t, "serve", map[string]any{"server": number, "options": options, "files": files}, &url)
	return url
}

// Script starts a WebSocket server on a free port that sends the messages to each client,
// strings as text and []byte as binary, and nothing else. It tests how a client handles an
// invalid server. Script returns its URL.
func (n *Node) Script(t testing.TB, messages ...any) string {
	t.Helper()
	number, _ := n.number()
	var url string
	n.must(t, "script", map[string]any{"server": number, "messages": outgoing(messages)}, &url)
	return url
}
