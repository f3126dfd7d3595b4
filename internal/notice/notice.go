// Package notice reports what clients, other nodes and mistakes in the app make a server do:
// each refusal, close and drop is counted, and logged in a bounded number of lines that name
// the cause and the setting to change.
//
//	var flood = notice.Kind{
//		Name:    "flood",
//		Level:   slog.LevelWarn,
//		Text:    "socketbridge: a connection is closed: its client sends too fast",
//		Setting: "Config.Limits.EventsPerSecond, BytesPerSecond",
//	}
//
//	board := notice.New(logger, &flood)
//	board.Report(&flood, "", "remote", remote)
//
// For each kind, a key is logged once per minute, and at most 10 keys per minute. The next
// line says how many were left out. An attribute whose value is costly to build is a
// slog.LogValuer: it is asked only if the line is written.
package notice

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/fiberbridge/fiberbridge/internal/throttle"
)

// Kind is one thing to report. Kinds are package variables, and are never modified.
type Kind struct {
	Name    string // in statistics and docs: lower case with underscores, never changed
	Level   slog.Level
	Text    string // what happened, and to whom
	Setting string // the fields that decide it; "" if there are none
}

// Board counts the reports of a server, and logs them. It is safe for concurrent use.
type Board struct {
	log     *slog.Logger
	entries map[*Kind]*entry
}

type entry struct {
	count atomic.Uint64
	lines throttle.Throttle
}

// New returns a board for these kinds. It panics if two have one name.
func New(log *slog.Logger, kinds ...*Kind) *Board {
	b := &Board{log: log, entries: make(map[*Kind]*entry, len(kinds))}
	names := make(map[string]bool, len(kinds))
	for _, k := range kinds {
		if names[k.Name] {
			panic(fmt.Sprintf("notice: there are two kinds named %q", k.Name))
		}
		names[k.Name] = true
		b.entries[k] = new(entry)
	}
	return b
}

// maxKey is the number of bytes of a key that count.
const maxKey = 128

// Report counts k, and logs it with args, as slog's methods take them, unless too much of
// its kind was logged already. Reports with different keys, for example event names, do not
// keep each other from the log. A key may come from a client.
func (b *Board) Report(k *Kind, key string, args ...any) {
	e := b.entries[k]
	if e == nil {
		panic(fmt.Sprintf("notice: the kind %q was not given to New", k.Name))
	}
	e.count.Add(1)
	if len(key) > maxKey {
		key = key[:maxKey]
	}
	suppressed, ok := e.lines.Allow(key)
	if !ok || !b.log.Enabled(context.Background(), k.Level) {
		return
	}
	if k.Setting != "" {
		args = append(args, "setting", k.Setting)
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	b.log.Log(context.Background(), k.Level, k.Text, args...)
}

// Count returns how often k was reported.
func (b *Board) Count(k *Kind) uint64 {
	if e := b.entries[k]; e != nil {
		return e.count.Load()
	}
	return 0
}

// Counts returns how often each kind was reported, by its name, without those that never
// were.
func (b *Board) Counts() map[string]uint64 {
	counts := make(map[string]uint64)
	for k, e := range b.entries {
		if n := e.count.Load(); n > 0 {
			counts[k.Name] = n
		}
	}
	return counts
}
