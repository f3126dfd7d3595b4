package drivers_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	badgerdb "github.com/dgraph-io/badger/v3"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/storage/badger/v2"
	"github.com/gofiber/storage/bbolt"
	"github.com/gofiber/storage/postgres/v3"
	"github.com/gofiber/storage/sqlite3/v2"
	bboltdb "go.etcd.io/bbolt"

	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lister is a driver with gofiber's method Keys. The drivers of this package have none, so
// an app adds it as here (see docs/storages.md).
type lister interface {
	fiber.Storage
	Keys() ([][]byte, error)
}

// place is where a driver keeps its keys, such as a file.
type place struct {
	// open returns the driver. Each place is opened once at a time, because bbolt and badger
	// lock their files.
	open func() lister
	// without are the abilities that the driver does not have.
	without []storagetest.Ability
}

// drivers calls run for each driver, in parallel. New makes places that are empty.
func drivers(t *testing.T, run func(t *testing.T, name string, newPlace func(t *testing.T) place)) {
	t.Helper()
	for name, newPlace := range map[string]func(t *testing.T) place{
		"sqlite3": newSQLite, "bbolt": newBbolt, "badger": newBadger,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, name, newPlace)
		})
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := startPostgres(t)
		run(t, "postgres", func(t *testing.T) place { return postgresPlace(t, server) })
	})
}

// sqliteWithKeys lists the keys of a table.
type sqliteWithKeys struct {
	*sqlite3.Storage
	table string
}

func (s sqliteWithKeys) Keys() ([][]byte, error) {
	return keysOf(s.Conn(), "SELECT k FROM "+s.table)
}

func keysOf(db *sql.DB, query string) (keys [][]byte, err error) {
	rows, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key []byte
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

func newSQLite(t *testing.T) place {
	t.Helper()
	switch {
	case hasCgo:
	case os.Getenv("CI") != "":
		t.Fatal("the sqlite3 driver needs cgo, and CI is set: install a C compiler (Debian: apt-get install gcc libc6-dev)")
	default:
		t.Skip("SKIPPED: sqlite3 needs cgo (Debian: apt-get install gcc libc6-dev)")
	}
	file := filepath.Join(t.TempDir(), "sessions.sqlite3")
	return place{open: func() lister {
		// As an app would open it that writes more than now and then.
		cfg := sqlite3.Config{Database: "file:" + file + "?_journal=WAL&_sync=NORMAL&_busy_timeout=10000", Table: "sessions"}
		return sqliteWithKeys{sqlite3.New(cfg), cfg.Table}
	}}
}

// bboltWithKeys lists the keys of a bucket.
type bboltWithKeys struct {
	*bbolt.Storage
	bucket string
}

func (s bboltWithKeys) Keys() (keys [][]byte, err error) {
	err = s.Conn().View(func(tx *bboltdb.Tx) error {
		return tx.Bucket([]byte(s.bucket)).ForEach(func(k, _ []byte) error {
			keys = append(keys, append([]byte(nil), k...))
			return nil
		})
	})
	return keys, err
}

func newBbolt(t *testing.T) place {
	file := filepath.Join(t.TempDir(), "sessions.bbolt")
	return place{
		open: func() lister {
			cfg := bbolt.Config{Database: file, Bucket: "sessions", Timeout: time.Minute}
			s := bboltWithKeys{bbolt.New(cfg), cfg.Bucket}
			s.Conn().NoSync = true // the tests need no durability
			return s
		},
		without: []storagetest.Ability{storagetest.Expiry},
	}
}

// badgerWithKeys lists all keys.
type badgerWithKeys struct{ *badger.Storage }

func (s badgerWithKeys) Keys() (keys [][]byte, err error) {
	err = s.Conn().View(func(tx *badgerdb.Txn) error {
		options := badgerdb.DefaultIteratorOptions
		options.PrefetchValues = false
		it := tx.NewIterator(options)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
		return nil
	})
	return keys, err
}

func newBadger(t *testing.T) place {
	dir := t.TempDir()
	return place{open: func() lister {
		options := badgerdb.DefaultOptions(dir).WithLogger(nil).WithNumMemtables(1).WithMemTableSize(8 << 20).
			WithBlockCacheSize(1 << 20).WithValueLogFileSize(8 << 20).WithNumCompactors(2)
		return badgerWithKeys{badger.New(badger.Config{Database: dir, BadgerOptions: options})}
	}}
}

// postgresWithKeys lists the keys of a table.
type postgresWithKeys struct {
	*postgres.Storage
	table string
}

func (s postgresWithKeys) Keys() (keys [][]byte, err error) {
	rows, err := s.Conn().Query(context.Background(), "SELECT k FROM "+s.table)
	if err != nil {
		return nil, fmt.Errorf("listing the keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, []byte(key))
	}
	return keys, rows.Err()
}

func postgresPlace(t *testing.T, server *postgresServer) place {
	t.Helper()
	cfg := server.newConfig(t)
	return place{open: func() lister { return postgresWithKeys{postgres.New(cfg), cfg.Table} }}
}
