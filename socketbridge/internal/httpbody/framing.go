package httpbody

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// Ambiguous reports whether servers can disagree about where a request ends, so that one of
// them takes a part of its body for another request (RFC 9112, section 6.1): it has both a
// Transfer-Encoding and a Content-Length, or a Transfer-Encoding that is not chunked. fasthttp
// itself refuses all other cases: two of a header, an invalid length, a Transfer-Encoding in
// HTTP/1.0, and one that is neither chunked nor identity.
//
// The connection of such a request must be closed after the response.
func Ambiguous(h *fasthttp.RequestHeader) bool {
	chunked := h.ContentLength() == -1
	if !chunked && h.ContentLength() < 0 {
		return false // fasthttp reads no body
	}
	length, encoding := framingHeaders(h.RawHeaders())
	return encoding && (length || !chunked)
}

// framingHeaders reports which of the two headers are in a request's header block. fasthttp
// keeps neither a Content-Length beside chunks nor the encoding identity.
func framingHeaders(raw []byte) (length, encoding bool) {
	for len(raw) > 0 {
		line := raw
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			line, raw = raw[:i], raw[i+1:]
		} else {
			raw = nil
		}
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch len(name) {
		case len(fasthttp.HeaderContentLength):
			length = length || bytes.EqualFold(name, []byte(fasthttp.HeaderContentLength))
		case len(fasthttp.HeaderTransferEncoding):
			encoding = encoding || bytes.EqualFold(name, []byte(fasthttp.HeaderTransferEncoding))
		}
	}
	return length, encoding
}
