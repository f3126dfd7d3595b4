package main

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // SQLite in pure Go: registers the driver "sqlite"
)

//go:embed schema.sql
var schema string

// openDB opens the database file at path and makes the tables that are missing.
// With ":memory:" it lives as long as the process.
//
// It has one connection: SQLite has one writer anyway, a query here takes
// microseconds, and nobody ever meets "database is locked".
func openDB(path string) (*sql.DB, error) {
	options := url.Values{"_pragma": {"foreign_keys(1)", "journal_mode(WAL)", "busy_timeout(5000)"}}
	file := url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return nil, fmt.Errorf("dashboard: database: %w", err)
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		db.Close()
		return nil, fmt.Errorf("dashboard: database: %w", err)
	}
	return db, nil
}
