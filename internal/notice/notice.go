// Package notice reports what clients, other nodes and mistakes in the app make a server do:
// each refusal, close, drop and ignored call is counted, and logged in a bounded number of
// lines that name the cause and the setting to change.
//
//	var flood = notice.Kind{
//		Name:    "flood",
//		Level:   slog.LevelWarn,
//		Text:    "socketbridge: a connection is closed: its client sends too fast",
//		Setting: "Config.Limits.EventsPerSecond, BytesPerSecond",
//	}
//
//	board := notice.New(logger)
//	board.Report(&flood, "", "remote", remote)
//
// For each kind, a key is logged once per minute, and at most 10 keys per minute. The next
// line says how many were left out. An attribute whose value is costly to build is a
// slog.LogValuer: it is asked only if the line is written, before Report returns.
//
// docs/troubleshooting.md lists every kind of the module. A test compares it with the
// source, and so each kind is a composite literal with constant fields.
package notice

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fiberbridge/fiberbridge/internal/throttle"
)

// Levels of kinds:
//
//   - Error: a mistake in the app or its deployment, or lost data. The operator has to act.
//   - Warn: a limit or a setting refused something that the app may want.
//   - Info: a client was refused or lost because of what it did, or its network.
//   - Debug: it also happens when all is well.

// Kind is one thing to report. Kinds are package variables, and are never modified.
type Kind struct {
	Name    string // in statistics, docs and the log: lower case with underscores, unique in the module
	Level   slog.Level
	Text    string // what happened, and to whom
	Setting string // the fields that decide it; "" if there are none
	Once    bool   // a key is logged once per Board, not once per minute, and at most 64 keys
}

// Board counts the reports of a server, and logs them. It is safe for concurrent use. The
// zero value logs to slog.Default().
type Board struct {
	log     *slog.Logger // nil: slog.Default() at the time of the report
	attrs   []any        // of every line
	entries sync.Map     // of *entry by *Kind
	broken  sync.Once    // the logger panicked, and stderr was told

	observer atomic.Pointer[func(k *Kind, args []any)] // see Observe
}

type entry struct {
	count  atomic.Uint64
	lines  throttle.Throttle
	logged atomic.Bool // the line of a Once without a key is written
}

// New returns a board. Every line gets attrs. They are not given to log.With, because handlers
// that wrap another one often lose themselves there.
func New(log *slog.Logger, attrs ...any) *Board { return &Board{log: log, attrs: attrs} }

// Observe makes Report call fn with every report, including those that are not logged. args
// are those of Report; fn may keep them. fn runs on the goroutine of the report, so it must
// not block. It replaces an earlier function; nil removes it.
func (b *Board) Observe(fn func(k *Kind, args []any)) {
	if fn == nil {
		b.observer.Store(nil)
		return
	}
	b.observer.Store(&fn)
}

const (
	maxKey  = 128  // bytes of a key that count
	maxText = 1000 // bytes of an error that are logged
)

// Report counts k, and logs it with args, as slog's methods take them, unless too much of
// its kind was logged already. Reports with different keys, for example event names, do not
// keep each other from the log. A key may come from a client.
func (b *Board) Report(k *Kind, key string, args ...any) {
	if observe := b.observer.Load(); observe != nil {
		(*observe)(k, append([]any(nil), args...)) // a copy, so that args of other calls need no allocation
	}
	b.ReportUnobserved(k, key, args...)
}

// ReportUnobserved is Report without the function of Observe. It reports what that function
// does wrong.
func (b *Board) ReportUnobserved(k *Kind, key string, args ...any) {
	e := b.entry(k)
	e.count.Add(1)
	if k.Once && e.logged.Load() {
		return
	}
	log := b.log
	if log == nil {
		log = slog.Default()
	}
	if !log.Enabled(context.Background(), k.Level) {
		return
	}
	if len(key) > maxKey {
		key = key[:maxKey]
	}
	suppressed, ok := e.lines.Allow(key)
	if !ok {
		return
	}
	if k.Once && key == "" {
		e.logged.Store(true)
	}
	line := make([]any, 0, len(args)+len(b.attrs)+6) // a copy, so that args of other calls need no allocation
	for _, arg := range args {
		line = append(line, resolve(arg))
	}
	if k.Setting != "" {
		line = append(line, "setting", k.Setting)
	}
	if suppressed > 0 && !k.Once {
		line = append(line, "suppressed", suppressed)
	}
	line = append(line, b.attrs...)
	b.write(log, k, append(line, "notice", k.Name))
}

// write writes a line. The logger's handler is code of the app, and Report runs on goroutines
// that have to go on. So the handler gets a goroutine of its own, of which there are few,
// because lines are few.
func (b *Board) write(log *slog.Logger, k *Kind, line []any) {
	done := make(chan struct{})
	go func() { // received below
		defer close(done)
		returned := false
		defer func() {
			if !returned {
				p := recover() // nil after runtime.Goexit
				b.broken.Do(func() {
					fmt.Fprintf(os.Stderr, "%s (notice=%s; the Logger panicked, and further lines may be lost: %v)\n", k.Text, k.Name, p)
				})
			}
		}()
		log.Log(context.Background(), k.Level, k.Text, line...)
		returned = true
	}()
	<-done
}

func (b *Board) entry(k *Kind) *entry {
	e, ok := b.entries.Load(k)
	if !ok {
		e, _ = b.entries.LoadOrStore(k, &entry{lines: throttle.Throttle{Once: k.Once}})
	}
	return e.(*entry)
}

// Attrs returns the arguments of a report as attributes, in the form in which they are logged.
func Attrs(args []any) []slog.Attr {
	resolved := make([]any, len(args))
	for i, arg := range args {
		resolved[i] = resolve(arg)
	}
	var r slog.Record
	r.Add(resolved...)
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	return attrs
}

// resolve returns what is logged for arg: the value of a LogValuer, which a handler may
// otherwise ask on another goroutine, and the beginning of a long error.
func resolve(arg any) any {
	switch v := arg.(type) {
	case slog.LogValuer:
		return slog.AnyValue(v).Resolve()
	case error:
		if text, long := cutError(v); long {
			return text
		}
	}
	return arg
}

// cutError returns the beginning of err's text if it is longer than maxText. The error may
// be the app's, and its Error may panic; slog's handlers are prepared for that.
func cutError(err error) (text string, long bool) {
	defer func() { _ = recover() }()
	if text = err.Error(); len(text) <= maxText {
		return "", false
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…", true
}

// Count returns how often k was reported.
func (b *Board) Count(k *Kind) uint64 {
	if e, ok := b.entries.Load(k); ok {
		return e.(*entry).count.Load()
	}
	return 0
}

// Counts returns how often each kind was reported, by its name, without those that never
// were.
func (b *Board) Counts() map[string]uint64 {
	counts := make(map[string]uint64)
	b.entries.Range(func(k, e any) bool {
		counts[k.(*Kind).Name] += e.(*entry).count.Load()
		return true
	})
	return counts
}

// maxForeign is how many bytes of a client's text are logged.
const maxForeign = 128

// Text is text from a client or another node. It is logged escaped and cut, so that it can
// neither begin a line of its own nor fill the log.
type Text string

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value {
	rest := ""
	if len(t) > maxForeign {
		t, rest = t[:maxForeign], fmt.Sprintf(" and %d more bytes", len(t)-maxForeign)
	}
	quoted := strconv.QuoteToASCII(string(t))
	return slog.StringValue(quoted[1:len(quoted)-1] + rest) // handlers add quotes of their own
}
