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
	//go:embed assets/*.css assets/*.mjs assets/*.svg
	assetFiles embed.FS

	// assetVersion is part of every asset's URL. Browsers may cache assets forever,
	// because a build with other assets has other URLs. All nodes of a build share it.
	assetVersion = hashOf(assetFiles, "assets")

	templates = template.Must(template.New("").Funcs(template.FuncMap{
		"asset": func(name string) string { return "/assets/" + assetVersion + "/" + name },
	}).ParseFS(templateFiles, "templates/*.html"))
)

// addPages adds the pages and the forms on them.
func (s *server) addPages() {
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
		return s.loginPage(c, endedNotices[c.Query("ended")], "")
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

// endedNotices are the login page's notices, by the reason why the session ended.
var endedNotices = map[string]string{
	string(Expired):   "You were inactive for too long and have been logged out.",
	string(LoggedOut): "You have been logged out.",
	"everywhere":      "You have been logged out everywhere.",
}

// logIn logs a user in by name alone. There are no passwords.
func (s *server) logIn(c *fiber.Ctx) error {
	typed := c.FormValue("name")
	user, ok := parseUser(typed)
	if !ok {
		return s.loginPage(c.Status(fiber.StatusUnprocessableEntity), "A name needs 2 to 20 letters, digits and spaces.", typed)
	}
	sess := fibersession.FromContext(c)
	if sess.User() != "" { // another user was logged in: discard that session's values
		if err := sess.Reset(); err != nil {
			return err
		}
	}
	if err := sess.Login(user.ID); err != nil {
		return err
	}
	nameKey.Set(sess, user.Name)
	roomsKey.Set(sess, []string{firstRoom})
	return c.Redirect("/", fiber.StatusSeeOther)
}

func (s *server) loginPage(c *fiber.Ctx, notice, name string) error {
	return render(c, "login", map[string]string{"Notice": notice, "Name": name, "Node": s.node})
}

// sameOrigin rejects forms that another site's page submits on a visitor's behalf. It
// compares origins as the browser sees them, so a proxy must pass on Host and set
// X-Forwarded-Proto (docs/proxies.md). c.BaseURL would also believe X-Forwarded-Host.
func sameOrigin(c *fiber.Ctx) error {
	from := c.Get("Sec-Fetch-Site")
	if from == "same-origin" || from == "" && c.Get(fiber.HeaderOrigin) == c.Protocol()+"://"+c.Get(fiber.HeaderHost) {
		return c.Next()
	}
	return fiber.ErrForbidden
}

func render(c *fiber.Ctx, name string, data any) error {
	var page bytes.Buffer // a template that fails must not send half a page
	if err := templates.ExecuteTemplate(&page, name+".html", data); err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Type("html", "utf-8").Send(page.Bytes())
}

// showError is the app's error handler. It logs the error and shows a general message.
func showError(c *fiber.Ctx, err error) error {
	status := fiber.StatusInternalServerError
	if e := (*fiber.Error)(nil); errors.As(err, &e) {
		status = e.Code
	} else {
		slog.Error("request failed", "method", c.Method(), "path", c.Path(), "error", err)
	}
	text := "Something went wrong. Please try again in a moment."
	switch {
	case status == fiber.StatusNotFound:
		text = "This page does not exist."
	case status < 500:
		text = "Your browser sent something that this site does not accept."
	}
	return render(c.Status(status), "error", text)
}

// securityHeaders sets headers on every response. The policy allows only this site's own
// files and no inline scripts, so injected markup could not run code.
func (s *server) securityHeaders(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "same-origin")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.Set("X-Node", s.node) // shows which node answered, for curl and the tests
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
