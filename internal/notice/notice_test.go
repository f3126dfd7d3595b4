package notice_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

var (
	flood   = notice.Kind{Name: "flood", Level: slog.LevelWarn, Text: "a client sends too fast", Setting: "Config.Limits.EventsPerSecond"}
	refusal = notice.Kind{Name: "refusal", Level: slog.LevelInfo, Text: "a client was refused"}
)

// newBoard returns a board and what it logs, from Info on, without times.
func newBoard() (*notice.Board, *bytes.Buffer) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	return notice.New(log), &out
}

func TestReport_LogsTheCauseAndTheSetting(t *testing.T) {
	t.Parallel()
	b, out := newBoard()
	b.Report(&flood, "", "remote", "192.0.2.1")
	b.Report(&refusal, "", "namespace", "/admin")
	want := `level=WARN msg="a client sends too fast" remote=192.0.2.1 setting=Config.Limits.EventsPerSecond notice=flood` + "\n" +
		`level=INFO msg="a client was refused" namespace=/admin notice=refusal` + "\n"
	if out.String() != want {
		t.Errorf("the log is:\n%swant:\n%s", out, want)
	}
}

// costly is a value that must not be built for a line that is not written.
type costly struct{ built *int }

func (c costly) LogValue() slog.Value { *c.built++; return slog.StringValue("built") }

func TestReport_IsCountedAlwaysAndLoggedInBounds(t *testing.T) {
	t.Parallel()
	b, out := newBoard()
	built := 0
	for range 1000 {
		b.Report(&flood, "", "remote", costly{&built})
	}
	for i := range 1000 {
		b.Report(&refusal, fmt.Sprint(strings.Repeat("x", 100), i))
	}
	long := strings.Repeat("y", 200)
	b.Report(&refusal, long+"a")
	if lines := strings.Count(out.String(), "\n"); lines != 1+10 {
		t.Errorf("%d lines are logged, want 1 of the first kind and 10 of the second", lines)
	}
	if built != 1 {
		t.Errorf("an attribute was built %d times for one line", built)
	}
	want := map[string]uint64{"flood": 1000, "refusal": 1001}
	if got := b.Counts(); !maps.Equal(got, want) {
		t.Errorf("counts are %v, want %v", got, want)
	}
	if got := b.Count(&flood); got != 1000 {
		t.Errorf("Count is %d", got)
	}
}

func TestReport_CutsKeys(t *testing.T) {
	t.Parallel()
	b, out := newBoard()
	long := strings.Repeat("y", 200)
	b.Report(&refusal, long+"a")
	b.Report(&refusal, long+"b")
	if lines := strings.Count(out.String(), "\n"); lines != 1 {
		t.Errorf("%d lines are logged for keys with the same beginning, want 1", lines)
	}
}

func TestReport_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	b, _ := newBoard()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				b.Report(&flood, "")
				b.Counts()
			}
		})
	}
	wg.Wait()
	if got := b.Count(&flood); got != 800 {
		t.Errorf("Count is %d, want 800", got)
	}
}

func TestReport_Once(t *testing.T) {
	t.Parallel()
	b, out := newBoard()
	once := notice.Kind{Name: "once", Level: slog.LevelWarn, Text: "something is configured wrongly", Once: true}
	for range 100 {
		b.Report(&once, "")
	}
	for i := range 100 {
		b.Report(&once, fmt.Sprint(i%2))
	}
	if lines := strings.Count(out.String(), "\n"); lines != 1 || strings.Contains(out.String(), "suppressed") {
		t.Errorf("the log is:\n%swant 1 line", out)
	}
	if got := b.Count(&once); got != 200 {
		t.Errorf("Count is %d, want 200", got)
	}
}

// A level that is not logged takes nothing from what the level would allow later.
func TestReport_CountsWhatIsNotLogged(t *testing.T) {
	t.Parallel()
	b, out := newBoard()
	quiet := notice.Kind{Name: "quiet", Level: slog.LevelDebug, Text: "a client has left"}
	b.Report(&quiet, "")
	if out.Len() != 0 || b.Count(&quiet) != 1 {
		t.Errorf("the log is %q and the count %d", out, b.Count(&quiet))
	}
}

// longError has a text that must not fill the log; badError has none.
type longError struct{}

func (longError) Error() string { return strings.Repeat("é", 5000) }

type badError struct{}

func (badError) Error() string { panic("no text") }

func TestReport_BoundsALine(t *testing.T) {
	t.Parallel()
	for name, arg := range map[string]any{
		"long error":       longError{},
		"text of a client": notice.Text(strings.Repeat("\n\x1b", 5000)),
	} {
		b, out := newBoard()
		b.Report(&refusal, "", "cause", arg)
		if line := out.String(); len(line) > 1500 || strings.Count(line, "\n") != 1 || strings.Contains(line, "\x1b") {
			t.Errorf("%s: the line has %d bytes:\n%s", name, len(line), line)
		}
	}
	b, out := newBoard()
	b.Report(&refusal, "", "cause", badError{})
	if !strings.Contains(out.String(), "a client was refused") {
		t.Errorf("an error that panics: the log is %q", out)
	}
	b.Report(&flood, "", "namespace", notice.Text("/a"))
	if !strings.Contains(out.String(), ` namespace=/a `) {
		t.Errorf("the log is %s", out)
	}
}

func TestCaller_IsTheLineOfTheApp(t *testing.T) {
	t.Parallel()
	b, out := newBoard()
	b.Report(&refusal, "", "caller", notice.Caller{})
	if !strings.Contains(out.String(), "notice_test.go:") {
		t.Errorf("the log is %s", out)
	}
}

func TestBoard_ZeroValueLogsToTheDefault(t *testing.T) {
	log, out := slog.Default(), new(bytes.Buffer)
	defer slog.SetDefault(log)
	var b notice.Board
	slog.SetDefault(slog.New(slog.NewTextHandler(out, nil)))
	b.Report(&flood, "")
	if !strings.Contains(out.String(), "notice=flood") {
		t.Errorf("the log is %q", out)
	}
	if got := b.Count(&refusal); got != 0 {
		t.Errorf("Count of a kind that was never reported is %d", got)
	}
}

// remote stands for a value that is only built for a line.
type remote struct{}

func (*remote) LogValue() slog.Value { return slog.StringValue("192.0.2.1") }

func BenchmarkReport_Suppressed(b *testing.B) {
	board := notice.New(slog.New(slog.NewTextHandler(io.Discard, nil)))
	remote := new(remote)
	b.ReportAllocs()
	for b.Loop() {
		board.Report(&flood, "key", "remote", remote)
	}
}

// badHandler is an app's handler that does not return.
type badHandler struct {
	slog.Handler
	bad func()
}

func (badHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h badHandler) Handle(context.Context, slog.Record) error { h.bad(); return nil }

// R19: a logger that panics or ends its goroutine costs its lines.
func TestR19_ALoggerThatPanics(t *testing.T) {
	t.Parallel()
	for _, bad := range []func(){func() { panic("no disk") }, runtime.Goexit} {
		b := notice.New(slog.New(badHandler{slog.DiscardHandler, bad}))
		for i := range 20 {
			b.Report(&refusal, fmt.Sprint(i))
		}
		if got := b.Count(&refusal); got != 20 {
			t.Errorf("Count is %d, want 20", got)
		}
	}
}
