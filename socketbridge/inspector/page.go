package inspector

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io/fs"
	"path"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/client"
)

// pageFiles are the page and what it loads.
//
//go:embed page
var pageFiles embed.FS

var pageTemplate = template.Must(template.ParseFS(pageFiles, "page/index.html"))

// file is a file that the page loads.
type file struct {
	mime, etag string
	body       []byte
}

// files are the files that a page loads, by name.
func files(parser socketbridge.Parser) map[string]file {
	mimes := map[string]string{".css": "text/css", ".mjs": "text/javascript", ".js": "text/javascript", ".svg": "image/svg+xml"}
	all := map[string]file{}
	add := func(name string, body []byte) {
		sum := sha256.Sum256(body)
		all[name] = file{mimes[path.Ext(name)] + "; charset=utf-8", `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, body}
	}
	entries, _ := fs.ReadDir(pageFiles, "page") // embedded: there are no errors
	for _, e := range entries {
		if body, err := pageFiles.ReadFile("page/" + e.Name()); err == nil && e.Name() != "index.html" {
			add(e.Name(), body)
		}
	}
	build := "socket.io.min.js"
	if parser == socketbridge.MsgpackParser {
		build = "socket.io.msgpack.min.js"
	}
	add("client.js", client.Official()[build])
	return all
}

// passHeader must be in the request for a pass. Pages of other sites cannot send it without a
// preflight request, which is not answered here.
const passHeader = "X-Inspector"

// handler returns the HTTP handler of the page.
func (i *inspector) handler() fiber.Handler {
	all := files(i.io.Config().Parser)
	return func(c *fiber.Ctx) error {
		name, below := subpath(c)
		if !below {
			return c.Next()
		}
		i.secure(c)
		administrator, err := i.cfg.Authorize(c)
		if err != nil || administrator == "" {
			return i.refuse(c, err)
		}
		administrator = strings.Clone(administrator) // it may be a part of the request
		f, isFile := all[name]
		switch {
		case name == "pass":
			return i.givePass(c, administrator)
		case name != "" && !isFile:
			return fiber.ErrNotFound
		case c.Method() != fiber.MethodGet && c.Method() != fiber.MethodHead:
			c.Set(fiber.HeaderAllow, "GET, HEAD")
			return fiber.ErrMethodNotAllowed
		case isFile:
			return f.send(c)
		}
		return i.sendPage(c)
	}
}

// subpath returns what follows the path that the handler is mounted at. below is false if the
// request is for another path: Fiber's Use also matches /inspectors for /inspector.
func subpath(c *fiber.Ctx) (name string, below bool) {
	mount := strings.Trim(c.Route().Path, "/")
	rest := strings.TrimPrefix(c.Path(), "/")
	if mount == "" {
		return rest, true
	}
	for part := range strings.SplitSeq(mount, "/") {
		var at string
		at, rest, _ = strings.Cut(rest, "/")
		if !strings.HasPrefix(part, ":") && !strings.EqualFold(at, part) {
			return "", false
		}
	}
	return strings.Clone(rest), true
}

// secure sets the headers that every response has.
func (i *inspector) secure(c *fiber.Ctx) {
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	c.Set(fiber.HeaderXFrameOptions, "DENY")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.Set("Cross-Origin-Resource-Policy", "same-origin")
	c.Set(fiber.HeaderCacheControl, "no-store")
}

// refuse answers a visitor that Authorize refused.
func (i *inspector) refuse(c *fiber.Ctx, err error) error {
	i.notices.Report(&refusedNotice, "page", "path", notice.Text(c.Path()), "remote", c.IP())
	if err != nil {
		return err
	}
	if c.Response().StatusCode() == fiber.StatusOK {
		return fiber.ErrNotFound
	}
	return nil
}

func (f file) send(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "private, no-cache")
	c.Set(fiber.HeaderETag, f.etag)
	if c.Get(fiber.HeaderIfNoneMatch) == f.etag {
		return c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, f.mime)
	return c.Send(f.body)
}

// sendPage sends the page. All its URLs are relative, so that it works behind a proxy that
// strips a prefix of the path.
func (i *inspector) sendPage(c *fiber.Ctx) error {
	requested, _, _ := bytes.Cut(c.Request().Header.RequestURI(), []byte("?"))
	last := string(requested[bytes.LastIndexByte(requested, '/')+1:])
	base := "./"
	if last != "" { // "/inspector", without the slash
		base = last + "/"
	}
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, map[string]string{
		"Base":      base,
		"Path":      path.Dir(i.io.ScriptURL("module", c)) + "/",
		"Namespace": Namespace,
	})
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/html; charset=utf-8")
	return c.Send(out.Bytes())
}

// givePass answers the page's request for a pass.
func (i *inspector) givePass(c *fiber.Ctx, administrator string) error {
	if c.Method() != fiber.MethodPost {
		c.Set(fiber.HeaderAllow, "POST")
		return fiber.ErrMethodNotAllowed
	}
	if site := c.Get("Sec-Fetch-Site"); c.Get(passHeader) == "" || site != "" && site != "same-origin" {
		return fiber.ErrForbidden
	}
	text, ok := i.passes.issue(administrator)
	if !ok {
		c.Set(fiber.HeaderRetryAfter, "30")
		return fiber.ErrTooManyRequests
	}
	return c.JSON(fiber.Map{"pass": text})
}
