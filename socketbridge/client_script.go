package socketbridge

import (
	"bytes"
	"strings"

	"github.com/gofiber/fiber/v2"

	webclient "github.com/fiberbridge/fiberbridge/socketbridge/client"
)

// script is one file format of the browser client.
type script struct {
	start, end string // of the file name; the hash of the content may be between them
	hash, etag string
	body       []byte
}

// The browser client as an ES module and as a classic script.
var (
	moduleScript  = &script{"fiberbridge", ".mjs", webclient.Hash, webclient.ETag, webclient.Script}
	classicScript = &script{"fiberbridge", ".js", webclient.ClassicHash, webclient.ClassicETag, webclient.Classic}
)

// ScriptURL returns the path of the browser client,
// "/socket.io/fiberbridge.<hash>.mjs". The name contains a hash of the content, so
// browsers cache the file forever. kind is "module" for an ES module, or "classic" for a
// script that defines the global variable fiberbridge. ScriptURL panics for any other
// kind.
//
// With the request of the page that loads the script, the path is relative to that page, such
// as "../socket.io/fiberbridge.<hash>.mjs". It then also holds behind a proxy that strips a
// prefix of the path, and the script finds the server next to itself.
//
// The path without the hash ("/socket.io/fiberbridge.mjs") also works, but then browsers
// revalidate the file on every load.
func (s *Server) ScriptURL(kind string, page ...*fiber.Ctx) string {
	path := s.engine.Path()
	if len(page) > 0 {
		path = siteRoot(page[0]) + path[1:]
	}
	switch kind {
	case "module":
		return path + moduleScript.hashed()
	case "classic":
		return path + classicScript.hashed()
	}
	panic(`socketbridge: ScriptURL takes "module" or "classic"`)
}

// siteRoot returns the root of the site, relative to the page that c is the request of: "./"
// or "../../". A proxy in front may have stripped a prefix of the page's path, but not its end.
func siteRoot(c *fiber.Ctx) string {
	path, _, _ := bytes.Cut(c.Request().Header.RequestURI(), []byte("?"))
	if !bytes.HasPrefix(path, []byte("/")) { // an absolute URI
		path = c.Context().URI().PathOriginal()
	}
	if folders := bytes.Count(path, []byte("/")) - 1; folders > 0 {
		return strings.Repeat("../", folders)
	}
	return "./"
}

func (f *script) hashed() string { return f.start + "." + f.hash + f.end }

// serveScript serves a script by its name below the engine's path, and reports whether
// the name belongs to a script. The hash of another version is answered with 404, because
// caches would keep this version's content under it forever.
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
	c.Status(fiber.StatusOK) // Fiber's filesystem sets 404 before it calls the next handler
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
	allowEveryOrigin(c)
	c.Set(fiber.HeaderETag, f.etag)
	if etagMatches(c.Get(fiber.HeaderIfNoneMatch), f.etag) {
		return c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, "text/javascript; charset=utf-8")
	return c.Send(f.body)
}

// allowEveryOrigin lets pages of every origin load the response, which is public.
func allowEveryOrigin(c *fiber.Ctx) {
	c.Set(fiber.HeaderAccessControlAllowOrigin, "*")
	c.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

// etagMatches reports whether an If-None-Match header matches an ETag (RFC 9110, section
// 13.1.2). Weak ETags match too: compressing proxies weaken the original ETag.
func etagMatches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
