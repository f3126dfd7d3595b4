package reliability_test

import (
	"fmt"
	"os"
	"testing"
)

// full says that this run is to reach the figures, which can take an hour.
var full = os.Getenv("RELIABILITY") == "full"

// scaled returns the size of a test: that of a run of all tests, or that of the figure.
func scaled[T any](short, figure T) T {
	if full {
		return figure
	}
	return short
}

// report prints what a row measured. With RELIABILITY_OUT=FILE it also adds a line to that
// file, so that the table in docs/reliability.md can be compared with it.
func report(t *testing.T, row, format string, args ...any) {
	t.Helper()
	line := row + ": " + fmt.Sprintf(format, args...)
	t.Log(line)
	name := os.Getenv("RELIABILITY_OUT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
}
