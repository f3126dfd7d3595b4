// Package testlog keeps what tests want to read again: logs, and what else several
// goroutines write.
package testlog

import (
	"strings"
	"sync"
)

// Log is an io.Writer that remembers. The zero value is ready. It is safe for
// concurrent use.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write appends p; it never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Has says whether a text was written.
func (l *Log) Has(text string) bool { return strings.Contains(l.String(), text) }
