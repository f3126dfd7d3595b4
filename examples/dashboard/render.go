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
)

var (
	//go:embed templates
	templateFiles embed.FS
	//go:embed assets
	assetFiles embed.FS

	// assetVersion stands in the URLs of assets: they may be kept for ever, and
	// another build has other URLs.
	assetVersion = hashOf(assetFiles, "assets")

	templates = template.Must(template.New("").Funcs(template.FuncMap{
		"asset": func(name string) string { return "/assets/" + assetVersion + "/" + name },
	}).ParseFS(templateFiles, "templates/*.html"))
)

// view is what a template is given.
type view struct {
	Form    string   // of the door: "login" or "signup"
	Notice  string   // something to know
	Problem *Problem // something to mend
	Login   string   // as it was typed, to be typed no second time
	Name    string
	CSRF    string // filled in by show
}

// show renders a template, which escapes all that it is given.
func (s *site) show(c *fiber.Ctx, name string, v view) error {
	v.CSRF = formToken(fibersession.FromContext(c))
	return render(c, name, v)
}

func render(c *fiber.Ctx, name string, data any) error {
	var page bytes.Buffer // so that a template that fails leaves no half a page
	if err := templates.ExecuteTemplate(&page, name+".html", data); err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Type("html", "utf-8").Send(page.Bytes())
}

// message shows a page with something to say, and a way back.
func message(c *fiber.Ctx, title, text string) error {
	return render(c, "error", map[string]string{"Title": title, "Text": text})
}

// showError is the app's error handler. What went wrong is for the log only.
func showError(c *fiber.Ctx, err error) error {
	status := fiber.StatusInternalServerError
	if e := (*fiber.Error)(nil); errors.As(err, &e) {
		status = e.Code
	} else {
		slog.Error("dashboard: a request failed", "method", c.Method(), "path", c.Path(), "error", err)
	}
	title, text := "That went wrong.", "It was written down for those who run this site. Please try again in a moment."
	switch {
	case status == fiber.StatusNotFound:
		title, text = "There is nothing here.", "The address may have a slip in it."
	case status < 500:
		title, text = "That cannot be done.", "Your browser sent something that this site does not take."
	}
	return message(c.Status(status), title, text)
}

// secure sets the headers that hold for every answer. The policy allows this
// site's own files and nothing inline, so that text which came through as markup
// would still not run.
func secure(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "same-origin")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	return c.Next()
}

// assetTypes are the types of what is in assets: those of the system differ.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// serveAsset serves a file of this build; of another, the page is too old or new.
func serveAsset(c *fiber.Ctx) error {
	data, err := assetFiles.ReadFile("assets/" + c.Params("name"))
	if err != nil || c.Params("version") != assetVersion {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	c.Set(fiber.HeaderContentType, assetTypes[path.Ext(c.Params("name"))])
	return c.Send(data)
}

// hashOf names the content of a folder's files.
func hashOf(files embed.FS, dir string) string {
	entries, err := files.ReadDir(dir)
	if err != nil {
		panic(err) // it is embedded
	}
	hash := sha256.New()
	for _, entry := range entries { // which are sorted
		data, err := files.ReadFile(dir + "/" + entry.Name())
		if err != nil {
			panic(err)
		}
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil)[:6])
}
