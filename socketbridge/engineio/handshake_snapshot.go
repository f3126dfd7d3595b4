package engineio

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/fiberbridge/fiberbridge/internal/sitehost"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// snapshot is a compact copy of a handshake request, kept as long as the connection lives.
// The application rarely reads it, so the maps of a transport.Handshake are built on demand.
// For the handshake of a browser it keeps 656 bytes in 3 allocations, a transport.Handshake 2,472
// in 23 more (BenchmarkHandshakeKept). An idle connection takes about 6 KB of heap in total.
type snapshot struct {
	time   time.Time
	secure bool
	text   string         // method, path, host and address, then entries: see appendText
	locals map[string]any // nil if there are none
	lifted any
}

// An entry of a snapshot's text is one of these bytes, a key and a value.
const (
	headerEntry = 'h'
	queryEntry  = 'q'
	cookieEntry = 'c'
)

// appendText appends the length of text and text.
func appendText[T string | []byte](dst []byte, text T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// cutText returns the first text that appendText appended, and the rest.
func cutText(text string) (first, rest string) {
	n, size := binary.Uvarint([]byte(text[:min(len(text), binary.MaxVarintLen64)]))
	return text[size : size+int(n)], text[size+int(n):]
}

// newSnapshot copies a request. It shares no memory with the request, which fasthttp reuses
// (D19).
func (s *Server) newSnapshot(c *fiber.Ctx, client netip.Addr) snapshot {
	snap := snapshot{time: time.Now(), secure: c.Secure()}
	var buf [1 << 10]byte
	text := buf[:0]
	host, _ := sitehost.Of(c)
	for _, t := range []string{c.Method(), c.Path(), host, client.String()} {
		text = appendText(text, t)
	}
	add := func(kind byte, k, v []byte) { text = appendText(appendText(append(text, kind), k), v) }
	isSecret := func(is func(string) bool, name []byte) bool { return is != nil && is(utils.UnsafeString(name)) }
	for k, v := range c.Request().Header.All() {
		if !bytes.EqualFold(k, []byte(fiber.HeaderCookie)) && !isSecret(s.hooks.SessionHeader, k) {
			add(headerEntry, k, v)
		}
	}
	for k, v := range c.Context().QueryArgs().All() {
		if !isSecret(s.hooks.SessionQuery, k) {
			add(queryEntry, k, v)
		}
	}
	for k, v := range c.Request().Header.Cookies() {
		if !isSecret(s.hooks.SessionCookie, k) {
			add(cookieEntry, k, v)
		}
	}
	snap.text, snap.locals = string(text), localsOf(c)
	return snap
}

// handshake returns the request in its public form.
func (s *snapshot) handshake() *transport.Handshake {
	hs := &transport.Handshake{
		Time:   s.time,
		Secure: s.secure,
		Header: make(http.Header),
		Query:  make(url.Values),
		Locals: s.locals,
		Lifted: s.lifted,
	}
	text := s.text
	for _, t := range []*string{&hs.Method, &hs.Path, &hs.Host, &hs.RemoteIP} {
		*t, text = cutText(text)
	}
	for text != "" {
		var k, v string
		kind := text[0]
		k, text = cutText(text[1:])
		v, text = cutText(text)
		switch kind {
		case headerEntry:
			hs.Header.Add(k, v)
		case queryEntry:
			hs.Query.Add(k, v)
		case cookieEntry:
			if hs.Cookies == nil {
				hs.Cookies = make(map[string]string)
			}
			hs.Cookies[k] = v
		}
	}
	return hs
}

// localsOf copies the locals that have a string key. It returns nil if there are none.
func localsOf(c *fiber.Ctx) (locals map[string]any) {
	c.Context().VisitUserValuesAll(func(k, v any) {
		name, ok := k.(string)
		if !ok || name == userContextKey {
			return
		}
		if locals == nil {
			locals = make(map[string]any)
		}
		switch v := v.(type) {
		case string:
			locals[strings.Clone(name)] = strings.Clone(v)
		case []byte:
			locals[strings.Clone(name)] = bytes.Clone(v)
		default:
			locals[strings.Clone(name)] = v
		}
	})
	return locals
}

// userContextKey is the key of c.UserContext(), which must not outlive the request.
const userContextKey = "__local_user_context__"
