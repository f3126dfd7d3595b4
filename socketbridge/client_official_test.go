package socketbridge_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/compress"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	webclient "github.com/fiberbridge/fiberbridge/socketbridge/client"
)

func TestS2_ServesTheOfficialClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{}).serve()
	node := nodetest.Start(t).Serve(t, map[string]any{}, nil)
	off := newSite(t, options{bridge: socketbridge.Config{DisableServeClient: true}}).serve()
	compressing := newSite(t, options{before: func(app *fiber.App) { app.Use(compress.New()) }}).serve()
	elsewhere := newSite(t, options{bridge: socketbridge.Config{Engine: engineAt("/live/")}}).serve()

	const full = "/socket.io/socket.io.js"
	etag := `"` + webclient.OfficialVersion + `"`
	for _, tt := range []struct {
		name, method, url, path, encoding, none string
		status                                  int
		sent                                    string // the encoding of the response
		cache                                   string
	}{
		{"full", "GET", s.url, full, "", "", 200, "", "public, max-age=0"},
		{"minified", "GET", s.url, "/socket.io/socket.io.min.js", "", "", 200, "", "public, max-age=0"},
		{"module", "GET", s.url, "/socket.io/socket.io.esm.min.js", "gzip", "", 200, "gzip", "public, max-age=0"},
		{"MessagePack", "GET", s.url, "/socket.io/socket.io.msgpack.min.js", "br", "", 200, "br", "public, max-age=0"},
		{"brotli before gzip", "GET", s.url, full, "gzip, deflate, br", "", 200, "br", "public, max-age=0"},
		{"gzip is refused", "GET", s.url, full, "gzip;q=0, identity", "", 200, "", "public, max-age=0"},
		{"an unknown encoding", "GET", s.url, full, "zstd", "", 200, "", "public, max-age=0"},
		{"HEAD", "HEAD", s.url, full, "gzip", "", 200, "gzip", "public, max-age=0"},
		{"the same ETag", "GET", s.url, full, "gzip", etag, 304, "", "public, max-age=0"},
		{"the same weak ETag", "GET", s.url, full, "gzip", "W/" + etag, 304, "", "public, max-age=0"},
		{"another ETag", "GET", s.url, full, "", `"4.0.0"`, 200, "", "public, max-age=0"},
		{"a query", "GET", s.url, full + "?v=1", "", "", 200, "", "public, max-age=0"},
		{"POST", "POST", s.url, full, "", "", 405, "", ""},
		{"a source map", "GET", s.url, full + ".map", "", "", 404, "", ""},
		{"a build of another version", "GET", s.url, "/socket.io/socket.io.slim.js", "", "", 404, "", ""},
		{"another name", "GET", s.url, "/socket.io/other.js", "", "", 404, "", ""},
		{"switched off", "GET", off.url, full, "", "", 404, "", ""},
		{"behind the compress middleware", "GET", compressing.url, full, "gzip", "", 200, "gzip", "public, max-age=0"},
		{"on another path", "GET", elsewhere.url, "/live/socket.io.js", "", "", 200, "", "public, max-age=0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, body := ask(t, tt.method, tt.url+tt.path, tt.encoding, tt.none)
			if res.StatusCode != tt.status || res.Header.Get("Content-Encoding") != tt.sent || res.Header.Get("Cache-Control") != tt.cache {
				t.Errorf("got status %d, encoding %q, Cache-Control %q", res.StatusCode, res.Header.Get("Content-Encoding"), res.Header.Get("Cache-Control"))
			}
			if tt.status != 404 && res.Header.Get("X-Content-Type-Options") != "nosniff" || len(res.Cookies()) > 0 {
				t.Errorf("got headers %v, want nosniff and no cookies", res.Header)
			}
			if tt.status != 200 {
				return
			}
			if res.Header.Get("Vary") != "Accept-Encoding" || res.Header.Get("ETag") != "W/"+etag {
				t.Errorf("got headers %v", res.Header)
			}
			if tt.method == "HEAD" {
				return
			}
			name := tt.path[bytes.LastIndexByte([]byte(tt.path), '/')+1:]
			name, _, _ = cutQuery(name)
			if !bytes.Equal(decompress(t, tt.sent, body), webclient.Official()[name]) {
				t.Errorf("the body is not %s", name)
			}
			if tt.url != s.url {
				return
			}
			// The headers are those of Node.
			reference, want := ask(t, "GET", node+tt.path, tt.encoding, "")
			if !bytes.Equal(decompress(t, reference.Header.Get("Content-Encoding"), want), webclient.Official()[name]) {
				t.Errorf("Node serves another %s", name)
			}
			for _, header := range []string{"Content-Type", "Cache-Control"} {
				if got, want := res.Header.Get(header), reference.Header.Get(header); got != want {
					t.Errorf("%s is %q, that of Node %q", header, got, want)
				}
			}
		})
	}
}

func cutQuery(name string) (string, string, bool) {
	before, after, found := bytes.Cut([]byte(name), []byte("?"))
	return string(before), string(after), found
}

// ask sends a request without following its encoding.
func ask(t *testing.T, method, url, encoding, none string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if encoding != "" {
		req.Header.Set("Accept-Encoding", encoding)
	}
	if none != "" {
		req.Header.Set("If-None-Match", none)
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

func decompress(t *testing.T, encoding string, body []byte) []byte {
	t.Helper()
	switch encoding {
	case "gzip":
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	case "br":
		plain, err := fasthttp.AppendUnbrotliBytes(nil, body)
		if err != nil {
			t.Fatal(err)
		}
		return plain
	}
	return body
}

// TestS2_PageWithTheServedClient loads the page of Socket.IO's own tutorial into Chromium.
func TestS2_PageWithTheServedClient(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	s.io.On("chat message", func(p *socketbridge.Packet) error { return s.io.Emit("chat message", p.Values()...) })
	s.app.Get("/", func(c *fiber.Ctx) error {
		return c.Type("html").SendString(`<!doctype html><title>t</title><link rel="icon" href="data:,"><ul id="messages"></ul>
			<script src="/socket.io/socket.io.js"></script>
			<script>
				const socket = io();
				socket.on("chat message", (msg) => { document.getElementById("messages").textContent = msg; });
				socket.emit("chat message", "hello");
			</script>`)
	})
	s.serve()
	n.Browser(t).Open(s.url).WaitText("#messages", "hello")
}
