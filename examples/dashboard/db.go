package main

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite", which is written in Go
)

//go:embed schema.sql
var schema string

// openDB opens the database file at path and creates missing tables. The database at
// ":memory:" ends with the process.
//
// It uses a single connection. SQLite allows only one writer anyway, queries here take
// microseconds, and "database is locked" errors cannot occur.
func openDB(path string) (*sql.DB, error) {
	options := url.Values{"_pragma": {"foreign_keys(1)", "journal_mode(WAL)", "busy_timeout(5000)"}}
	file := url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return nil, fmt.Errorf("dashboard: open database: %w", err)
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("dashboard: create tables: %w", err)
	}
	return db, nil
}
