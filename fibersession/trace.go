package fibersession

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/internal/hooklist"
	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// Trace is a set of hooks that observe a store, for metrics, traces and logs: see
// Store.Observe. A nil hook is skipped. What a hook reports waits for it, so hooks must not
// block. They are called for several sessions at the same time, and must be safe for
// concurrent use. A hook that panics is logged.
type Trace struct {
	// Operation is called before the store reads or writes a session for a request, a handle
	// or itself. The operation runs with the context that it returns, and the function that it
	// returns, unless nil, is called at the end. ctx is that of the caller; for an operation of
	// a request it has the values of the request's user context (Fiber's UserContext). op is
	// valid until then. A read that this node's copy answers is no operation.
	Operation func(ctx context.Context, op *Operation) (context.Context, func(err error))

	// Conflict is called when a write was refused because another node had changed the
	// session meanwhile. The store merges and tries again.
	Conflict func(session string)

	// Heard is called when the storage's feed says that another node changed or ended a
	// watched session. The store then reads it, which is an Operation.
	Heard func(session string)

	// Gap is called when notifications of the feed may have been lost. The store then reads
	// the watched sessions again.
	Gap func()

	// Reported is called with everything that the store counts in Stats.Notices, also if it
	// is not logged.
	Reported func(r Report)
}

// OperationKind is what an Operation does.
type OperationKind string

// The kinds of operations.
const (
	OpLoad       OperationKind = "load"       // read what the storage holds
	OpTouch      OperationKind = "touch"      // extend the idle limit
	OpSave       OperationKind = "save"       // store changes: Save, Update, Incr and Login
	OpRegenerate OperationKind = "regenerate" // give the session a new ID
	OpDestroy    OperationKind = "destroy"    // end the session
)

// Operation is what the store does with one session for one caller. Operations of the same
// session at the same time can share one call of the storage.
type Operation struct {
	Kind OperationKind

	// Request is the method and the path of the request that caused the operation, or "".
	// Parts of the path that can be an ID or a secret are replaced by "*": those with digits
	// or other characters than letters, "-", "_" and ".", and those of more than 24 bytes.
	Request string

	state *state
	op    *op
}

// Session returns the session's pseudonym with the label LogLabel.
func (o *Operation) Session() string { return o.state.resolve().logName() }

// User returns the ID of the session's user, as stored before the operation (see
// Config.UserKey), or "".
func (o *Operation) User() string {
	cur, _ := o.state.resolve().current()
	if cur == nil {
		return ""
	}
	return o.state.store.userOf(cur.values)
}

// Keys returns the keys that the operation sets or deletes, in ascending order.
func (o *Operation) Keys() []string { return slices.Sorted(maps.Keys(o.op.ch)) }

// Value returns the value that the operation sets key to. ok is false if it deletes the key or
// does not change it, or if it adds to a number (Incr). The value must not be modified.
func (o *Operation) Value(key string) (v any, ok bool) {
	c, changed := o.op.ch[key]
	return c.value, changed && c.kind == changeSet
}

// Outcome returns a word for the outcome of the operation, for labels of metrics and the like:
// "ok" without an error. docs/metrics.md lists all of them. They do not change, and no text of
// the app or of the storage is among them. Errors without a word of their own are "error".
func (o *Operation) Outcome(err error) string {
	if err == nil {
		return "ok"
	}
	for _, outcome := range outcomes {
		if errors.Is(err, outcome.err) {
			return outcome.word
		}
	}
	return "error"
}

// outcomes are the words of errors, as in the codes that socketbridge sends to clients. The
// first match counts.
var outcomes = []struct {
	err  error
	word string
}{
	{ErrUnknownOutcome, "unknown_outcome"},
	{ErrUnavailable, "session_unavailable"},
	{ErrTooLarge, "session_too_large"},
	{ErrTooManyKeys, "session_too_large"},
	{ErrSessionGone, "session_gone"},
	{ErrNotFound, "not_found"},
}

// Report is something that was refused, dropped, ignored or failed. docs/troubleshooting.md
// lists all of them.
type Report struct {
	Name    string     // the stable name, as in Stats.Notices
	Level   slog.Level // of the line in the log
	Text    string     // what happened
	Setting string     // the fields of Config that decide it, or ""

	args []any
}

// Attrs returns the attributes that the line in the log has. Texts of clients are escaped and
// cut. It is costly, and must not be called after the hook has returned.
func (r Report) Attrs() []slog.Attr { return notice.Attrs(r.args) }

// LogLabel is the label of the pseudonyms (Handle.Pseudonym) by which logs, traces, the inspector
// and the command line of this module name a session.
const LogLabel = "room"

// logName returns the session's pseudonym for logs, or "" before it was loaded.
func (s *state) logName() string {
	cur, _ := s.current()
	if cur == nil {
		return ""
	}
	return cur.lineage.pseudonym(LogLabel)
}

// LogValue implements slog.LogValuer: a state is logged as its session's pseudonym.
func (s *state) LogValue() slog.Value { return slog.StringValue(s.resolve().logName()) }

// Observe adds hooks until stop is called. Operations that began before are not reported.
func (s *Store) Observe(t Trace) (stop func()) {
	s.start()
	return s.tracing.hooks.Add(&t, func(all []*Trace) {
		s.tracing.operations.Store(slices.ContainsFunc(all, func(h *Trace) bool { return h.Operation != nil }))
		var observe func(*notice.Kind, []any)
		if slices.ContainsFunc(all, func(h *Trace) bool { return h.Reported != nil }) {
			observe = s.reported
		}
		s.notices.Observe(observe)
	})
}

// tracing holds the hooks of a store. The zero value has none.
type tracing struct {
	hooks      hooklist.List[Trace]
	operations atomic.Bool // there are Operation hooks: without, an operation costs no more than this
}

// traced runs an operation between the hooks.
func (s *state) traced(ctx context.Context, o *op, run func(ctx context.Context) error) (err error) {
	what := &Operation{Kind: o.kind.operation(), state: s, op: o}
	if r, ok := ctx.(*requestContext); ok {
		what.Request, ctx = r.label, r.Context
	}
	for _, t := range s.store.tracing.hooks.All() {
		if t.Operation == nil {
			continue
		}
		var done func(error)
		s.store.hook("Trace.Operation", func() {
			if c, d := t.Operation(ctx, what); c != nil {
				ctx, done = c, d
			} else {
				done = d
			}
		})
		if done != nil {
			defer func() { s.store.hook("Trace.Operation", func() { done(err) }) }()
		}
	}
	return run(ctx)
}

// operation returns the kind as hooks see it.
func (k opKind) operation() OperationKind {
	switch k {
	case opTouch:
		return OpTouch
	case opChange:
		return OpSave
	case opRegenerate:
		return OpRegenerate
	case opDestroy:
		return OpDestroy
	default:
		return OpLoad
	}
}

// traceConflict calls the hooks for a conflict.
func (s *state) traceConflict() {
	for _, t := range s.store.tracing.hooks.All() {
		if t.Conflict != nil {
			s.store.hook("Trace.Conflict", func() { t.Conflict(s.logName()) })
		}
	}
}

// traceHeard calls the hooks for a notice of the feed. No lock may be held.
func (s *state) traceHeard() {
	for _, t := range s.store.tracing.hooks.All() {
		if t.Heard != nil {
			s.store.hook("Trace.Heard", func() { t.Heard(s.logName()) })
		}
	}
}

func (s *Store) traceGap() {
	for _, t := range s.tracing.hooks.All() {
		if t.Gap != nil {
			s.hook("Trace.Gap", t.Gap)
		}
	}
}

// reported calls the hooks for a report.
func (s *Store) reported(k *notice.Kind, args []any) {
	for _, t := range s.tracing.hooks.All() {
		if t.Reported != nil {
			s.hookOr("Trace.Reported", s.notices.ReportUnobserved, func() { // else a hook that panics would be told of its panic
				t.Reported(Report{Name: k.Name, Level: k.Level, Text: k.Text, Setting: k.Setting, args: args})
			})
		}
	}
}

// hook calls a hook of the app on a goroutine of its own, because the caller has to go on, and
// waits for it.
func (s *Store) hook(name string, fn func()) { s.hookOr(name, s.notices.Report, fn) }

// hookOr is hook. It calls report if the hook panics.
func (s *Store) hookOr(name string, report func(k *notice.Kind, key string, args ...any), fn func()) {
	done := make(chan struct{})
	go func() { // received below
		defer close(done)
		returned := false
		defer func() {
			if !returned {
				report(&callbackPanicNotice, name, append([]any{"where", name}, notice.Panic(recover())...)...)
			}
		}()
		fn()
		returned = true
	}()
	<-done
}

// requestContext is the context of an operation of a request, while the store is observed.
type requestContext struct {
	context.Context
	label string
}

// userContextKey is the user value under which Fiber v2 keeps UserContext.
const userContextKey = "__local_user_context__"

// operationContext returns the context for calls of the storage for a request.
func (s *Store) operationContext(r *fasthttp.RequestCtx) context.Context {
	if r == nil || !s.tracing.operations.Load() {
		return context.Background()
	}
	ctx := context.Background()
	if user, ok := r.UserValue(userContextKey).(context.Context); ok {
		ctx = context.WithoutCancel(detachRequest(user)) // a request that was given up still saves
	}
	return &requestContext{ctx, string(r.Method()) + " " + maskPath(string(r.Path()))}
}

// context returns the context for calls of the storage.
func (s *Session) context() context.Context {
	if !s.store.tracing.operations.Load() {
		return context.Background()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.operationContext(s.request)
}

const maxPathPart = 24 // bytes of a part of a path that maskPath keeps

// maskPath replaces the parts of a path that can be an ID or a secret by "*".
func maskPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if len(part) > maxPathPart || strings.ContainsFunc(part, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_' || r == '.')
		}) {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}
