package inspector

import (
	"time"

	"github.com/gofiber/fiber/v2"
)

// NewFor is New with another lifetime of an authorization.
func NewFor(cfg Config, lifetime time.Duration) fiber.Handler {
	return newInspector(cfg, lifetime).handler()
}
