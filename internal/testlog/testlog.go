// Package testlog records text that several goroutines write, such as a server's log, so
// that a test can check it.
package testlog

import (
	"strings"
	"sync"
)

// Log is an io.Writer that stores everything written to it. The zero value is ready to use.
// It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write appends p. It never returns an error.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns everything written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Has reports whether text has been written.
func (l *Log) Has(text string) bool { return strings.Contains(l.String(), text) }
