package notice_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
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
	return notice.New(log, &flood, &refusal), &out
}

func TestReport_LogsTheCauseAndTheSetting(t *testing.T) {
	t.Parallel()
	b, out := newBoard()
	b.Report(&flood, "", "remote", "192.0.2.1")
	b.Report(&refusal, "", "namespace", "/admin")
	want := `level=WARN msg="a client sends too fast" remote=192.0.2.1 setting=Config.Limits.EventsPerSecond` + "\n" +
		`level=INFO msg="a client was refused" namespace=/admin` + "\n"
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

func TestBoard_RefusesMistakes(t *testing.T) {
	t.Parallel()
	other := notice.Kind{Name: "flood"}
	for name, fn := range map[string]func(){
		"two kinds of one name": func() { notice.New(slog.Default(), &flood, &other) },
		"an unknown kind":       func() { notice.New(slog.Default()).Report(&flood, "") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			fn()
		}()
	}
	if got := notice.New(slog.Default()).Count(&flood); got != 0 {
		t.Errorf("Count of an unknown kind is %d", got)
	}
}

func BenchmarkReport_Suppressed(b *testing.B) {
	board := notice.New(slog.New(slog.DiscardHandler), &flood)
	b.ReportAllocs()
	for b.Loop() {
		board.Report(&flood, "key", "remote", "192.0.2.1")
	}
}
