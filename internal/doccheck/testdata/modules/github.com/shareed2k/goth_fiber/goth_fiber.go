// Package goth_fiber has the name of goth_fiber that docs/from-fiber.md uses.
package goth_fiber

import "github.com/gofiber/fiber/v2/middleware/session"

var SessionStore *session.Store
