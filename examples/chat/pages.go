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

	// assetVersion stands in the URLs of assets: they may be kept for ever, another
	// build has other URLs, and all nodes of one build have the same.
	assetVersion = hashOf(assetFiles, "assets")

	templates = template.Must(template.New("").Funcs(template.FuncMap{
		"asset": func(name string) string { return "/assets/" + assetVersion + "/" + name },
	}).ParseFS(templateFiles, "templates/*.html"))
)

// pages are what a browser loads, and its forms.
func (s *site) pages() {
	s.app.Get("/", func(c *fiber.Ctx) error {
		if fibersession.FromContext(c).User() == "" {
			return c.Redirect("/login", fiber.StatusSeeOther)
		}
		return render(c, "chat", nil)
	})
	s.app.Get("/login", func(c *fiber.Ctx) error {
		if fibersession.FromContext(c).User() != "" {
			return c.Redirect("/", fiber.StatusSeeOther)
		}
		return s.door(c, endings[c.Query("ended")], "")
	})
	s.app.Post("/login", sameOrigin, s.logIn)
	s.app.Post("/logout", sameOrigin, func(c *fiber.Ctx) error {
		if err := fibersession.FromContext(c).Destroy(); err != nil {
			return err
		}
		return c.Redirect("/login", fiber.StatusSeeOther)
	})
	s.app.Post("/logout/everywhere", sameOrigin, func(c *fiber.Ctx) error {
		if user := fibersession.FromContext(c).User(); user != "" {
			if _, err := s.sessions.EndAll(c.UserContext(), user); err != nil {
				return err
			}
		}
		return c.Redirect("/login?ended=everywhere", fiber.StatusSeeOther)
	})
}

// endings are what the door says to who was in before.
var endings = map[string]string{
	"expired":    "You were away for long, so you have been logged out.",
	"logged out": "You have been logged out.",
	"everywhere": "You have been logged out everywhere.",
}

// logIn makes the session that of a user. There is no password: who says a name has it.
func (s *site) logIn(c *fiber.Ctx) error {
	typed := c.FormValue("name")
	user, ok := userNamed(typed)
	if !ok {
		return s.door(c.Status(fiber.StatusUnprocessableEntity), "A name has 2 to 20 letters, digits and spaces.", typed)
	}
	sess := fibersession.FromContext(c)
	if sess.User() != "" { // somebody was signed in here: nothing of theirs stays
		if err := sess.Reset(); err != nil {
			return err
		}
	}
	if err := sess.Login(user.ID); err != nil {
		return err
	}
	sess.Set(nameKey, user.Name)
	sess.Set(roomsKey, []string{firstRoom})
	return c.Redirect("/", fiber.StatusSeeOther)
}

func (s *site) door(c *fiber.Ctx, notice, name string) error {
	return render(c, "login", map[string]string{"Notice": notice, "Name": name, "Node": s.node})
}

// sameOrigin lets pass what this site's own pages send, and nothing that another page
// sends in a visitor's name. Origins are compared as the browser sees them: behind a
// proxy that needs Host and X-Forwarded-Proto (docs/proxies.md).
func sameOrigin(c *fiber.Ctx) error {
	from := c.Get("Sec-Fetch-Site")
	if from == "same-origin" || from == "" && c.Get(fiber.HeaderOrigin) == c.BaseURL() {
		return c.Next()
	}
	return fiber.ErrForbidden
}

func render(c *fiber.Ctx, name string, data any) error {
	var page bytes.Buffer // so that a template that fails leaves no half a page
	if err := templates.ExecuteTemplate(&page, name+".html", data); err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Type("html", "utf-8").Send(page.Bytes())
}

// showError is the app's error handler. What went wrong is for the log only.
func showError(c *fiber.Ctx, err error) error {
	status := fiber.StatusInternalServerError
	if e := (*fiber.Error)(nil); errors.As(err, &e) {
		status = e.Code
	} else {
		slog.Error("a request failed", "method", c.Method(), "path", c.Path(), "error", err)
	}
	text := "That went wrong. Please try again in a moment."
	switch {
	case status == fiber.StatusNotFound:
		text = "There is nothing here."
	case status < 500:
		text = "Your browser sent something that this site does not take."
	}
	return render(c.Status(status), "error", text)
}

// secure sets the headers that hold for every page. The policy allows this site's own
// files and nothing inline.
func (s *site) secure(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "same-origin")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.Set("X-Node", s.node) // so that one can see, also with curl, who answered
	return c.Next()
}

// assetTypes are the types of what is in assets: those of the system differ.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

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
