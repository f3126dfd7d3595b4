package engineio_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// A message of exactly MaxPayload is accepted.
func TestLimit_MaxPayloadIsExact(t *testing.T) {
	t.Parallel()
	const limit = 1000
	s := open(t, &transporttest.Recorder{}, engineio.Config{MaxPayload: limit})
	c := s.openWS()
	a := s.nextConn()
	c.write(clientFrame(true, wsframe.Binary, strings.Repeat("x", limit)))
	c.sendText("4" + strings.Repeat("x", limit-1))
	c.write(clientFrame(false, wsframe.Binary, strings.Repeat("x", limit-1)) + clientFrame(true, wsframe.Continuation, "x"))
	for i, want := range []int{limit, limit - 1, limit} {
		if m, err := a.Next(s.context()); err != nil || len(m.Data) != want {
			t.Errorf("message %d has %d bytes, %v", i, len(m.Data), err)
		}
	}
}

// D12: messages are limited by default. One that is too large is refused at its header.
func TestD12_MessageSizeIsLimited(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	c := s.openWS()
	c.write(clientFrame(true, wsframe.Binary, strings.Repeat("x", 1_000_000)))
	a := s.nextConn()
	if m, err := a.Next(s.context()); err != nil || len(m.Data) != 1_000_000 {
		t.Errorf("at the limit: %d bytes, %v", len(m.Data), err)
	}
	c.write(string(wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: wsframe.Binary, Masked: true, Length: 1_000_001})))
	if code := c.readClose(); code != 1009 {
		t.Errorf("close code is %d", code)
	}
}

// Memory is allocated for the bytes that arrive, not for the length that a header announces.
func TestWebSocket_MemoryComesWithTheBytes(t *testing.T) {
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 50
	for range n {
		c := s.openWS()
		c.write(string(wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: wsframe.Binary, Masked: true, Length: 1_000_000})) + "x")
		s.nextConn()
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > n*100_000 {
		t.Errorf("%d bytes were allocated for %d headers", grown, n)
	}
}

// D10: compressed bodies are refused without being decompressed.
func TestD10_CompressedBodiesAreRefused(t *testing.T) {
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	if _, err := z.Write(make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	s := open(t, echoRecorder(), engineio.Config{})
	p := s.openPoll()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a := s.do("POST", p.query(), bomb.String(), "Content-Encoding", "gzip")
	runtime.ReadMemStats(&after)
	if a.status != 415 {
		t.Errorf("response is %d %s", a.status, a.body)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated for a body of %d", grown, bomb.Len())
	}
}

// D11: compression is never negotiated, and a compressed frame is an error.
func TestD11_NoCompressionOnWebSockets(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	c, a := s.dialWS(websocket, "Sec-WebSocket-Extensions", "permessage-deflate")
	if ext := a.header.Get("Sec-WebSocket-Extensions"); ext != "" {
		t.Errorf("the extension %q was negotiated", ext)
	}
	c.readText()
	c.write("\xc1" + clientFrame(true, wsframe.Text, "4x")[1:])
	if code := c.readClose(); code != 1002 {
		t.Errorf("close code is %d", code)
	}
}

// A streamed body is not read beyond the limit.
func TestStreamedBodies(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{MaxPayload: 1000}, siteOptions{noLimits: true, fiber: fiber.Config{StreamRequestBody: true}})
	post := func(p *pollClient, header, body string) string {
		nc := s.dial()
		fmt.Fprintf(nc, "POST /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\n%s\r\n\r\n%s", p.query(), s.addr, header, body)
		status := make([]byte, len("HTTP/1.1 200"))
		_, _ = nc.Read(status)
		return string(status[9:])
	}
	chunk := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("4", n)) }
	p := s.openPoll()
	// fasthttp reads the first bytes. The rest is never sent, and the server does not wait for it.
	if got := post(p, "Content-Length: 100000", strings.Repeat("4", 20_000)); got != "413" {
		t.Errorf("Content-Length over the limit, before the body has arrived: %s", got)
	}
	if got := post(p, "Transfer-Encoding: chunked", chunk(600)+chunk(600)); got != "413" {
		t.Errorf("chunks over the limit: %s", got)
	}
	if got := post(p, "Transfer-Encoding: chunked", chunk(600)+chunk(400)+"0\r\n\r\n"); got != "200" {
		t.Errorf("chunks at the limit: %s", got)
	}
	// The unread body of a refused request must not be parsed as the next request.
	nc := s.dial()
	inner := "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: close\r\n\r\n"
	fmt.Fprintf(nc, "POST /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n", p.query(), s.addr)
	_, _ = nc.Write([]byte(strings.Repeat(" ", 8<<10)))
	first := make([]byte, len("HTTP/1.1 400"))
	if _, err := io.ReadFull(nc, first); err != nil || string(first) != "HTTP/1.1 400" {
		t.Errorf("%q, %v", first, err)
	}
	_, _ = nc.Write([]byte(inner))
	if rest, _ := io.ReadAll(nc); bytes.Contains(rest, []byte("HTTP/1.1")) {
		t.Errorf("two responses to one request: %q", rest)
	}
	// Nor that of a request which needs no body.
	for _, start := range []string{"GET /socket.io/?EIO=4&transport=polling", "OPTIONS /socket.io/?EIO=4&transport=polling"} {
		nc := s.dial()
		fmt.Fprintf(nc, "%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s%s", start, s.addr, 9000+len(inner), strings.Repeat(" ", 9000), inner)
		if all, _ := io.ReadAll(nc); bytes.Count(all, []byte("HTTP/1.1 ")) != 1 {
			t.Errorf("%s with a body: %q", start, all)
		}
	}
	a := s.nextConn()
	if m, err := a.Next(context.Background()); err != nil || !bytes.Equal(m.Data, bytes.Repeat([]byte("4"), 999)) {
		t.Errorf("the receiver got %d bytes, %v", len(m.Data), err)
	}
}
