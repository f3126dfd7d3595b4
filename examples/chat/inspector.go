package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// administrator lets a browser see the inspector if its user knows the password (HTTP basic
// authentication). The name is the user's choice, and is only logged.
func administrator(password string) func(c *fiber.Ctx) (string, error) {
	want := sha256.Sum256([]byte(password))
	return func(c *fiber.Ctx) (string, error) {
		r := http.Request{Header: http.Header{fiber.HeaderAuthorization: {c.Get(fiber.HeaderAuthorization)}}}
		name, given, _ := r.BasicAuth()
		if got := sha256.Sum256([]byte(given)); name != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return name, nil
		}
		c.Set(fiber.HeaderWWWAuthenticate, `Basic realm="inspector"`)
		return "", c.SendStatus(fiber.StatusUnauthorized)
	}
}
