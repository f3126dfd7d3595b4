// Package sqlite3 has the names of the driver that docs/storages.md uses. internal/drivers
// tests with the driver itself.
package sqlite3

import (
	"database/sql"
	"time"
)

type Config struct{}

type Storage struct{}

func New(config ...Config) *Storage                                    { return nil }
func (*Storage) Conn() *sql.DB                                         { return nil }
func (*Storage) Get(key string) ([]byte, error)                        { return nil, nil }
func (*Storage) Set(key string, value []byte, ttl time.Duration) error { return nil }
func (*Storage) Delete(key string) error                               { return nil }
func (*Storage) Reset() error                                          { return nil }
func (*Storage) Close() error                                          { return nil }
