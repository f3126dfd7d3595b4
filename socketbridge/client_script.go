package socketbridge

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	webclient "github.com/fiberbridge/fiberbridge/socketbridge/client"
)

// script is one form of the client for pages.
type script struct {
	start, end string // of its name; a hash of its content may stand between
	hash, etag string
	body       []byte
}

// The client for pages, as a module and as a classic script.
var (
	moduleScript  = &script{"fiberbridge", ".mjs", webclient.Hash, webclient.ETag, webclient.Script}
	classicScript = &script{"fiberbridge", ".js", webclient.ClassicHash, webclient.ClassicETag, webclient.Classic}
)

// ScriptURL returns the path of the client for pages with a hash of its content in
// its name, "/socket.io/fiberbridge.<hash>.mjs", which browsers keep for good: kind
// is "module", or "classic" for a script that puts its functions into the global
// fiberbridge. It panics for another kind. Without the hash ("fiberbridge.mjs") a
// browser asks each time whether there is a newer one.
func (s *Server) ScriptURL(kind string) string {
	switch kind {
	case "module":
		return s.engine.Path() + moduleScript.hashed()
	case "classic":
		return s.engine.Path() + classicScript.hashed()
	}
	panic(`socketbridge: ScriptURL takes "module" or "classic"`)
}

func (f *script) hashed() string { return f.start + "." + f.hash + f.end }

// serveScript answers a request for a name below the engine's path, if it is that of a
// script. A hash that is none of this version is 404: kept under that name, another
// version's script would stay for good.
func serveScript(c *fiber.Ctx, name string) (served bool, err error) {
	for _, f := range [...]*script{moduleScript, classicScript} {
		rest, ok := strings.CutPrefix(name, f.start)
		if !ok {
			continue
		}
		if rest, ok = strings.CutSuffix(rest, f.end); ok && (rest == "" || rest[0] == '.') {
			return true, f.serve(c, rest)
		}
	}
	return false, nil
}

func (f *script) serve(c *fiber.Ctx, hash string) error {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	if c.Method() != fiber.MethodGet && c.Method() != fiber.MethodHead {
		c.Set(fiber.HeaderAllow, "GET, HEAD")
		return c.SendStatus(fiber.StatusMethodNotAllowed)
	}
	switch hash {
	case "":
		c.Set(fiber.HeaderCacheControl, "no-cache")
	case "." + f.hash:
		c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	default:
		c.Set(fiber.HeaderCacheControl, "no-store")
		return c.SendStatus(fiber.StatusNotFound)
	}
	// It is the same for everybody, so that pages of every origin may load it.
	c.Set(fiber.HeaderAccessControlAllowOrigin, "*")
	c.Set("Cross-Origin-Resource-Policy", "cross-origin")
	c.Set(fiber.HeaderETag, f.etag)
	if known(c.Get(fiber.HeaderIfNoneMatch), f.etag) {
		return c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, "text/javascript; charset=utf-8")
	return c.Send(f.body)
}

// known says whether an If-None-Match header names an ETag (RFC 9110, section 13.1.2).
// A weak one counts: a proxy that compresses makes it of ours.
func known(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
