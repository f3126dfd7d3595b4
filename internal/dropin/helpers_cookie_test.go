package dropin_test

import (
	"net/http"
	"strings"
	"time"
)

// removes reports whether a cookie makes the browser delete it.
func removes(c *http.Cookie) bool {
	return c.MaxAge < 0 || c.Value == "" || !c.Expires.IsZero() && c.Expires.Before(time.Now())
}

// describe returns a cookie's name and attributes. Its lifetime is rounded to minutes, and the
// same whether Max-Age or Expires says it.
func describe(c *http.Cookie) string {
	parts := []string{c.Name}
	if c.Path != "" {
		parts = append(parts, "Path="+c.Path)
	}
	if c.Domain != "" {
		parts = append(parts, "Domain="+c.Domain)
	}
	if c.HttpOnly {
		parts = append(parts, "HttpOnly")
	}
	if c.Secure {
		parts = append(parts, "Secure")
	}
	switch c.SameSite {
	case http.SameSiteLaxMode:
		parts = append(parts, "SameSite=Lax")
	case http.SameSiteStrictMode:
		parts = append(parts, "SameSite=Strict")
	case http.SameSiteNoneMode:
		parts = append(parts, "SameSite=None")
	}
	switch {
	case c.MaxAge > 0:
		parts = append(parts, "for "+age(time.Duration(c.MaxAge)*time.Second))
	case !c.Expires.IsZero():
		parts = append(parts, "for "+age(time.Until(c.Expires)))
	}
	return strings.Join(parts, "; ")
}

// age returns a duration as hours or minutes.
func age(d time.Duration) string {
	return strings.Replace(strings.TrimSuffix(d.Round(time.Minute).String(), "0s"), "h0m", "h", 1)
}
