// Package drivers tests sessions over the storage drivers that Fiber apps use:
// github.com/gofiber/storage/{sqlite3, bbolt, badger, postgres}. It is a module of its own,
// so that the root module does not depend on the drivers. It has only tests. They start
// their own PostgreSQL.
//
// docs/storages.md has a table of what the tests found.
package drivers
