package fibersession_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// The storage holds no usable ID, neither in keys nor in values. Logs, errors and printed
// sessions hold none either.
func TestN6_NoIDAnywhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	base := memory.New()
	seen := &recordingStorage{Storage: base}
	st := faulty.New(seen, nil)
	defer func() { _ = st.Close() }()
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := newStore(t, fibersession.Config{Storage: st, Logger: logger})
	var ids []string
	var printed bytes.Buffer
	app := newApp(s, map[string]fiber.Handler{
		"/": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("user", "alice")
			if err := sess.Save(); err != nil {
				return err
			}
			h := sess.Detach()
			defer h.Release()
			ids = append(ids, h.ID())
			for _, v := range []any{sess, h, *new(fibersession.Stats)} {
				_, _ = fmt.Fprintf(&printed, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
				_, _ = fmt.Fprintf(&printed, "%v %+v\n", []any{v}, struct{ In any }{v})
				if b, err := json.Marshal(map[string]any{"v": v}); err == nil {
					printed.Write(b)
				}
				logger.Info("a session", "v", v)
			}
			for _, do := range []func() error{
				func() error { sess.Set("bad", make(chan int)); return sess.Save() },
				func() error { sess.Delete("bad"); _, err := sess.Incr("user", 1); return err },
				func() error { sess.Set(strings.Repeat("k", 300), 1); return sess.Save() },
				func() error { return sess.Reload() },
				func() error { return sess.Regenerate() },
			} {
				_, _ = fmt.Fprintln(&printed, do())
			}
			ids = append(ids, h.ID())
			st.SetPlan(func(c faulty.Call) faulty.Fault {
				return faulty.Fault{Fail: errors.New("cannot reach key " + c.Key)}
			})
			defer st.SetPlan(nil)
			for _, err := range []error{h.Reload(ctx), h.Destroy(ctx), h.Regenerate(ctx)} {
				_, _ = fmt.Fprintln(&printed, err)
				logger.Error("failed", "error", err)
			}
			return nil
		},
	})
	newBrowser(t, app).get("/")
	b := newBrowser(t, app)
	b.cookies["__Host-session"] = ids[1]
	st.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errBroken}))
	b.get("/")
	st.SetPlan(nil)
	if len(ids) < 2 || ids[0] == "" || ids[1] == "" || ids[0] == ids[1] {
		t.Fatal("the test did not see two different IDs")
	}
	for _, id := range ids {
		for where, text := range map[string]string{"log": log.String(), "print": printed.String(), "store": seen.all.String()} {
			if strings.Contains(text, id) {
				t.Errorf("an ID appears in the %s", where)
			}
		}
	}
	if !strings.Contains(printed.String(), "session(") || seen.all.Len() == 0 {
		t.Error("the test did not print a session, or recorded no write")
	}
}

// Row 9: errors of a storage name the key that failed, which is the session's ID in Fiber's
// layout. The log has the cause without it.
func TestN6_ErrorsOfTheStoreDoNotNameItsKeys(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Builtin: true, Storage: st, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	h := storedSession(t, s, map[string]any{"n": 1})
	id := h.ID()
	var named string
	st.SetPlan(func(c faulty.Call) faulty.Fault {
		named = c.Key
		return faulty.Fault{Fail: errors.New("cannot reach " + c.Key)}
	})
	defer st.SetPlan(nil)
	if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrUnavailable) || strings.Contains(err.Error(), id) {
		t.Errorf("got %v, want ErrUnavailable without the ID", err)
	}
	if text := log.String(); !strings.Contains(named, id) || !strings.Contains(text, "cannot reach (key)") || strings.Contains(text, id) {
		t.Errorf("got the log %s\nwant the cause without the ID; the storage's error named the ID: %v", text, strings.Contains(named, id))
	}
}
