package blocks

import (
	"example.com/mydriver"
	"github.com/gofiber/storage/sqlite3/v2"

	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// listed is the type of another block.
type listed struct{ *sqlite3.Storage }
