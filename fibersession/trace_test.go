package fibersession_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// traceRecorder records what the hooks of a store report, one line each.
type traceRecorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *traceRecorder) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// take returns the lines since the last call.
func (r *traceRecorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

func (r *traceRecorder) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := r.take(); !slices.Equal(got, want) {
		t.Errorf("the hooks reported\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// hooks returns hooks that record all but the pseudonyms, which are given to name.
func (r *traceRecorder) hooks(name func(session string)) fibersession.Trace {
	return fibersession.Trace{
		Operation: func(ctx context.Context, op *fibersession.Operation) (context.Context, func(error)) {
			return nil, func(err error) {
				name(op.Session())
				r.add("%s %q user=%q keys=%v err=%v", op.Kind, op.Request, op.User(), op.Keys(), err)
			}
		},
		Conflict: func(session string) { name(session); r.add("conflict") },
		Heard:    func(session string) { name(session); r.add("heard") },
		Gap:      func() { r.add("gap") },
		Reported: func(rep fibersession.Report) { r.add("reported %s %v", rep.Name, rep.Attrs()) },
	}
}

func TestN9_TraceOfRequests(t *testing.T) {
	t.Parallel()
	store := newStore(t, fibersession.Config{UserKey: "user"})
	app := newApp(store, map[string]fiber.Handler{
		"/login/:token": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("cart", 1)
			return sess.Login("ann")
		},
		"/read":   func(c *fiber.Ctx) error { return c.SendString(fmt.Sprint(fibersession.FromContext(c).Get("cart"))) },
		"/logout": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() },
	})
	b := newBrowser(t, app)
	var rec traceRecorder
	names := map[string]bool{}
	stop := store.Observe(rec.hooks(func(session string) { names[session] = true }))

	b.get("/login/abc123")
	rec.expect(t, `regenerate "GET /login/*" user="" keys=[] err=<nil>`,
		`save "GET /login/*" user="ann" keys=[user] err=<nil>`, `save "GET /login/*" user="ann" keys=[cart] err=<nil>`)
	b.get("/logout")
	rec.expect(t, `load "GET /logout" user="ann" keys=[] err=<nil>`, `destroy "GET /logout" user="ann" keys=[] err=<nil>`)
	if len(names) != 1 {
		t.Errorf("the operations name the sessions %v, want one pseudonym", names)
	}
	stop()
	stop()
	b.get("/login/abc123")
	rec.expect(t)
}

// contextStorage records which values of the context its calls see.
type contextStorage struct {
	storage.Storage
	seen func(ctx context.Context)
}

type traceKey string

func (s contextStorage) Load(ctx context.Context, key string) (storage.Item, error) {
	s.seen(ctx)
	return s.Storage.Load(ctx, key)
}

func TestN9_TraceContexts(t *testing.T) {
	t.Parallel()
	st := memory.New()
	t.Cleanup(func() { must(t, st.Close()) })
	var rec traceRecorder
	store := newStore(t, fibersession.Config{Storage: contextStorage{st, func(ctx context.Context) { rec.add("load with %v", ctx.Value(traceKey("op"))) }}})
	app := fiber.New()
	app.Use(func(c *fiber.Ctx) error {
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), traceKey("request"), c.Path()))
		cancel() // a request that was given up still reads and saves
		c.SetUserContext(ctx)
		return c.Next()
	})
	app.Use(store.Handler())
	app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("n", 1)
		return nil
	})
	app.Get("/reload", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Reload() })
	b := newBrowser(t, app)
	b.get("/")
	store.Observe(fibersession.Trace{
		Operation: func(ctx context.Context, op *fibersession.Operation) (context.Context, func(error)) {
			rec.add("%s for %v, canceled: %t", op.Kind, ctx.Value(traceKey("request")), ctx.Err() != nil)
			return context.WithValue(ctx, traceKey("op"), op.Kind), nil
		},
	})
	rec.take()
	b.get("/reload")
	rec.expect(t, "load for /reload, canceled: false", "load with load", "load for /reload, canceled: false", "load with load")
}

func TestN9_TraceOfOtherNodes(t *testing.T) {
	runFeedTest(t, fibersession.Config{}, func(ft *feedTest) {
		ha, hb, _ := ft.shareSession(map[string]any{"n": 1})
		var rec traceRecorder
		want := ha.Pseudonym(fibersession.LogLabel)
		ft.a.Observe(rec.hooks(func(session string) {
			if session != want {
				t.Errorf("a hook names the session %q, want %q", session, want)
			}
		}))
		must(t, setAndSave(hb, "n", 2))
		synctest.Wait()
		rec.expect(t, "heard", `load "" user="" keys=[] err=<nil>`)

		ft.feed.set(true, false, 0) // the next change is not heard
		must(t, setAndSave(hb, "n", 3))
		synctest.Wait()
		must(t, setAndSave(ha, "m", 1))
		rec.expect(t, "conflict", `save "" user="" keys=[m] err=<nil>`)

		ft.feed.deliver(storage.Change{Kind: storage.Gap})
		synctest.Wait()
		rec.expect(t, "gap", `load "" user="" keys=[] err=<nil>`)
	})
}

func TestN9_TraceOfReports(t *testing.T) {
	t.Parallel()
	store := newStore(t, fibersession.Config{UserKey: "user"})
	var rec traceRecorder
	store.Observe(rec.hooks(func(string) {}))
	h := storedSession(t, store, map[string]any{"user": 1.5}) // no ID of a user
	h.User()
	if lines := rec.take(); !slices.ContainsFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "reported user_key_type [key=user type=float64")
	}) {
		t.Errorf("the hooks reported %q, want user_key_type", lines)
	}
}

// A hook that does not return costs a line in the log, not the operation.
func TestN9_TraceHooksThatFail(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(){
		"panic":  func() { panic("hook") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			store := newStore(t, fibersession.Config{UserKey: "user", Logger: slog.New(slog.NewTextHandler(&log, nil))})
			store.Observe(fibersession.Trace{
				Operation: func(context.Context, *fibersession.Operation) (context.Context, func(error)) { fail(); return nil, nil },
				Reported:  func(fibersession.Report) { fail() },
			})
			ended := 0
			store.Observe(fibersession.Trace{
				Operation: func(context.Context, *fibersession.Operation) (context.Context, func(error)) {
					return nil, func(error) { ended++; fail() }
				},
			})
			h := storedSession(t, store, map[string]any{"user": 1.5})
			h.User()
			if ended == 0 || !log.Has("where=Trace.Operation") || !log.Has("where=Trace.Reported") {
				t.Errorf("%d operations ended, and the log is:\n%s\nwant both hooks in it", ended, log.String())
			}
		})
	}
}

func setAndSave(h *fibersession.Handle, key string, v any) error {
	h.Set(key, v)
	return h.Save(context.Background())
}
