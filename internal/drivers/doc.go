package drivers
import (
 _ "github.com/gofiber/storage/badger/v2"
 _ "github.com/gofiber/storage/bbolt"
 _ "github.com/gofiber/storage/postgres/v3"
 _ "github.com/gofiber/storage/sqlite3/v2"
 _ "github.com/fiberbridge/fiberbridge/fibersession"
)
