package socketbridge

import (
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	webclient "github.com/fiberbridge/fiberbridge/socketbridge/client"
)

// officialScripts are the builds of the official client, by name.
var officialScripts = func() map[string]*officialScript {
	all := make(map[string]*officialScript)
	for name, body := range webclient.Official() {
		all[name] = &officialScript{
			body: body,
			br:   sync.OnceValue(func() []byte { return fasthttp.AppendBrotliBytes(nil, body) }),
			gzip: sync.OnceValue(func() []byte { return fasthttp.AppendGzipBytes(nil, body) }),
		}
	}
	return all
}()

// officialScript is one build of the official client. It is compressed when it is first
// requested.
type officialScript struct {
	body     []byte
	br, gzip func() []byte
}

// officialETag is weak, because it stands for the compressed forms too.
const officialETag = `W/"` + webclient.OfficialVersion + `"`

// serveOfficial serves the official client with the headers of Socket.IO for Node, and
// reports whether the name belongs to it. There are no source maps.
func serveOfficial(c *fiber.Ctx, name string) (served bool, err error) {
	f := officialScripts[name]
	if f == nil {
		return false, nil
	}
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	if c.Method() != fiber.MethodGet && c.Method() != fiber.MethodHead {
		c.Set(fiber.HeaderAllow, "GET, HEAD")
		return true, c.SendStatus(fiber.StatusMethodNotAllowed)
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=0")
	c.Set(fiber.HeaderETag, officialETag)
	c.Vary(fiber.HeaderAcceptEncoding)
	allowEveryOrigin(c)
	if etagMatches(c.Get(fiber.HeaderIfNoneMatch), strings.TrimPrefix(officialETag, "W/")) {
		return true, c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, "application/javascript; charset=utf-8")
	return true, c.Send(f.encoded(c))
}

// encoded returns the script in the encoding that the client prefers, and names it in the
// response.
func (f *officialScript) encoded(c *fiber.Ctx) []byte {
	switch {
	case c.Get(fiber.HeaderAcceptEncoding) == "":
		return f.body
	case c.AcceptsEncodings("br") != "":
		c.Set(fiber.HeaderContentEncoding, "br")
		return f.br()
	case c.AcceptsEncodings("gzip") != "":
		c.Set(fiber.HeaderContentEncoding, "gzip")
		return f.gzip()
	}
	return f.body
}
