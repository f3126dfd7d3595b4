package engineio

import (
	"log/slog"
	"net/url"
	"slices"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// FuzzQuery compares parseQuery with the rules of the protocol, applied to what package net/url
// reads from the same query.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{
		"", "EIO=4&transport=polling", "transport=websocket&EIO=4&sid=abc&t=x1&b64=1", "EIO=3&transport=polling", "EIO=4",
		"EIO=4&transport=polling&EIO=4", "EIO=4&transport=polling&sid=", "EIO=4&transport=polling&sid", "EIO=4&transport=polling&j=0",
		"EIO=4&transport[]=polling", "E%49O=4&transport=poll%69ng", "EIO=4&transport=polling&sid=a%00b", "EIO=%34&transport=websocket&token=a+b",
		"EIO=4&transport=polling&t=1&t=2", "&&=&EIO=4&transport=polling", "EIO=4&transport=constructor", "EIO=4&transport=polling&sid=%zz", "EIO=4;transport=polling",
	} {
		f.Add(query)
	}
	s := New(nil, Config{Logger: slog.New(slog.DiscardHandler)})
	app := fiber.New()
	f.Fuzz(func(t *testing.T, text string) {
		var request fasthttp.RequestCtx
		request.Request.URI().SetQueryString(text)
		c := app.AcquireCtx(&request)
		defer app.ReleaseCtx(c)
		got, err := s.parseQuery(c)
		values, bad := url.ParseQuery(text)
		if bad != nil { // net/url refuses what fasthttp takes literally
			return
		}
		var want *Error
		for _, name := range []string{"EIO", "transport", "sid", "t", "b64"} {
			if len(values[name]) > 1 || name == "sid" && slices.Contains(values[name], "") {
				want = ErrBadRequest
			}
		}
		switch {
		case want != nil:
		case values.Has("j"):
			want = ErrBadRequest
		case !slices.Contains([]string{Polling, WebSocket}, values.Get("transport")):
			want = ErrUnknownTransport
		case values.Get("EIO") != "4":
			want = ErrUnsupportedProtocol
		}
		if err != want {
			t.Fatalf("the error is %v, want %v", err, want)
		}
		if err == nil && (got.transport != values.Get("transport") || got.sid != values.Get("sid")) {
			t.Fatalf("parsed as %+v", got)
		}
	})
}
