package inspector

import (
	"time"

	"github.com/gofiber/fiber/v2"
)

// NewFor is New with another lifetime of an authorization, and another time between two points of
// the history.
func NewFor(cfg Config, lifetime, between time.Duration) fiber.Handler {
	return newInspector(cfg, pace{lifetime, between}).handler()
}
