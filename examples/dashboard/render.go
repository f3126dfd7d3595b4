package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"log/slog"
	"path"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/fibersession/csrf"
)

var (
	//go:embed templates
	templateFiles embed.FS
	//go:embed assets
	assetFiles embed.FS

	// assetVersion is part of every asset's URL. Browsers may cache assets forever,
	// because a build with other assets has other URLs.
	assetVersion = hashOf(assetFiles, "assets")

	templates = template.Must(template.New("").Funcs(template.FuncMap{
		"asset": func(name string) string { return "/assets/" + assetVersion + "/" + name },
	}).ParseFS(templateFiles, "templates/*.html"))
)

// view is the data of a template with forms.
type view struct {
	Form    string   // of the auth page: "login" or "signup"
	Notice  string   // information for the visitor
	Problem *Problem // why the form was rejected
	Login   string   // the form's fields, kept when it is shown again
	Name    string
	CSRF    string // set by renderForm
}

// renderForm renders a template and gives its forms their CSRF token. It begins a session for
// a visitor without one. That session ends early.
func (s *server) renderForm(c *fiber.Ctx, name string, v view) error {
	if sess := fibersession.FromContext(c); sess.Fresh() {
		sess.SetExpiry(anonymousIdle)
	}
	token, err := csrf.Token(c)
	if err != nil {
		return err
	}
	v.CSRF = token
	return render(c, name, v)
}

func render(c *fiber.Ctx, name string, data any) error {
	var page bytes.Buffer // a template that fails must not send half a page
	if err := templates.ExecuteTemplate(&page, name+".html", data); err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Type("html", "utf-8").Send(page.Bytes())
}

// renderMessage shows a page with a message and a link back.
func renderMessage(c *fiber.Ctx, title, text string) error {
	return render(c, "error", map[string]string{"Title": title, "Text": text})
}

// showError is the app's error handler. It logs the error and shows a general message.
func showError(c *fiber.Ctx, err error) error {
	status := fiber.StatusInternalServerError
	if e := (*fiber.Error)(nil); errors.As(err, &e) {
		status = e.Code
	} else {
		slog.Error("dashboard: request failed", "method", c.Method(), "path", c.Path(), "error", err)
	}
	title, text := "Something went wrong", "The error has been logged. Please try again in a moment."
	switch {
	case status == fiber.StatusNotFound:
		title, text = "Page not found", "Please check the address for a typo."
	case status < 500:
		title, text = "Request not accepted", "Your browser sent something that this site does not accept. Please go back and try again."
	}
	return renderMessage(c.Status(status), title, text)
}

// securityHeaders sets headers on every response. The policy allows only this site's own
// files and no inline scripts, so injected markup could not run code.
func securityHeaders(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "same-origin")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	return c.Next()
}

// assetTypes maps extensions to content types, which differ between systems otherwise.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// serveAsset serves an embedded file. It returns 404 for the version of another build.
func serveAsset(c *fiber.Ctx) error {
	data, err := assetFiles.ReadFile("assets/" + c.Params("name"))
	if err != nil || c.Params("version") != assetVersion {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	c.Set(fiber.HeaderContentType, assetTypes[path.Ext(c.Params("name"))])
	return c.Send(data)
}

// hashOf returns a hash of the content of a folder's files.
func hashOf(files embed.FS, dir string) string {
	entries, err := files.ReadDir(dir)
	if err != nil {
		panic(err) // cannot happen: the folder is embedded
	}
	hash := sha256.New()
	for _, entry := range entries { // sorted by name
		data, err := files.ReadFile(dir + "/" + entry.Name())
		if err != nil {
			panic(err)
		}
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil)[:6])
}
