package blocks

import "github.com/gofiber/fiber/v2"

var c *fiber.Ctx
