package engineio

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// snapshot is what is kept of a handshake request, for as long as the connection
// lives. Few look at it, so that it is kept small: maps are made for who asks.
type snapshot struct {
	time   time.Time
	secure bool
	text   string         // method, path, host, address, then entries: see appendText
	locals map[string]any // nil when there are none
	lifted any
}

// Entries of a snapshot's text begin with what they are: a key and a value follow.
const (
	headerEntry = 'h'
	queryEntry  = 'q'
	cookieEntry = 'c'
)

// appendText appends a text with its length before it.
func appendText[T string | []byte](dst []byte, text T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// cutText returns the first text, and what comes after it.
func cutText(text string) (first, rest string) {
	n, size := binary.Uvarint([]byte(text[:min(len(text), binary.MaxVarintLen64)]))
	return text[size : size+int(n)], text[size+int(n):]
}

// newSnapshot copies what is kept of a request. Every string is new memory: fasthttp
// uses its own again for the next request (D19).
func (s *Server) newSnapshot(c *fiber.Ctx) snapshot {
	snap := snapshot{time: time.Now(), secure: c.Secure()}
	var room [1 << 10]byte
	text := room[:0]
	for _, t := range []string{c.Method(), c.Path(), c.Hostname(), c.IP()} {
		text = appendText(text, t)
	}
	add := func(kind byte, k, v []byte) { text = appendText(appendText(append(text, kind), k), v) }
	for k, v := range c.Request().Header.All() {
		if !bytes.EqualFold(k, []byte(fiber.HeaderCookie)) {
			add(headerEntry, k, v)
		}
	}
	for k, v := range c.Context().QueryArgs().All() {
		add(queryEntry, k, v)
	}
	session := ""
	if s.hooks.SessionCookie != nil {
		session = s.hooks.SessionCookie(c)
	}
	for k, v := range c.Request().Header.Cookies() {
		if string(k) != session {
			add(cookieEntry, k, v)
		}
	}
	snap.text, snap.locals = string(text), localsOf(c)
	return snap
}

// handshake tells the request.
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

// localsOf returns the locals that have a string key, or nil.
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

// userContextKey is where Fiber keeps c.UserContext(), which ends with the request.
const userContextKey = "__local_user_context__"
