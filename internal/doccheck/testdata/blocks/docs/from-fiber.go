package blocks

import (
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/shareed2k/goth_fiber"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

var store *fibersession.Store
