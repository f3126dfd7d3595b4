package engineio

import (
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// browserHeaders are those of a WebSocket handshake by Chrome.
const browserHeaders = "Host: app.example.com\r\nConnection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36\r\n" +
	"Upgrade: websocket\r\nOrigin: https://app.example.com\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark; lang=en\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

// BenchmarkHandshakeKept compares the memory that one connection keeps of its handshake: as
// a snapshot, and as the transport.Handshake that a snapshot replaces.
func BenchmarkHandshakeKept(b *testing.B) {
	s := New(&transporttest.Recorder{}, Config{Logger: slog.New(slog.DiscardHandler)},
		Hooks{SessionCookie: func(name string) bool { return name == "session" }})
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod(fiber.MethodGet)
	ctx.Request.SetRequestURI("/socket.io/?EIO=4&transport=websocket")
	for line := range strings.SplitSeq(strings.TrimSuffix(browserHeaders, "\r\n"), "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		ctx.Request.Header.Set(name, value)
	}
	c := app.AcquireCtx(&ctx)
	defer app.ReleaseCtx(c)

	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	b.Run("snapshot", func(b *testing.B) {
		b.ReportAllocs()
		kept := make([]*snapshot, b.N)
		before := heap()
		b.ResetTimer()
		for i := range kept {
			snap := s.newSnapshot(c, netip.MustParseAddr("192.0.2.1"))
			kept[i] = &snap
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/float64(b.N), "B/conn")
		runtime.KeepAlive(kept)
	})
	b.Run("transport.Handshake", func(b *testing.B) {
		b.ReportAllocs()
		kept := make([]*transport.Handshake, b.N)
		before := heap()
		b.ResetTimer()
		for i := range kept {
			snap := s.newSnapshot(c, netip.MustParseAddr("192.0.2.1"))
			kept[i] = snap.handshake()
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/float64(b.N), "B/conn")
		runtime.KeepAlive(kept)
	})
}
