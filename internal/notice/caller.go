package notice

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
)

// Caller is logged as the file and line of the app that called into this module.
type Caller struct{}

// modulePath begins the names of the functions of this module.
const modulePath = "github.com/fiberbridge/fiberbridge/"

// LogValue implements slog.LogValuer.
func (Caller) LogValue() slog.Value {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if inApp(f) {
			return slog.StringValue(fmt.Sprintf("%s:%d", f.File, f.Line))
		}
		if !more {
			return slog.StringValue("unknown")
		}
	}
}

// inApp reports whether a frame is of the app's code: the first that is neither of this
// module, apart from its tests, nor of what lies between the two.
func inApp(f runtime.Frame) bool {
	if strings.HasPrefix(f.Function, modulePath) {
		return strings.HasSuffix(f.File, "_test.go")
	}
	for _, between := range [...]string{"runtime.", "sync.", "log/slog."} {
		if strings.HasPrefix(f.Function, between) {
			return false
		}
	}
	return true
}
