package socketbridge

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// recoverPanic logs a panic of user code, so that it does not end the process. If err is
// not nil, *err is set to errPanic. It must be deferred directly. log is called only
// after a panic, because it allocates.
func recoverPanic(log func() *slog.Logger, source string, attr slog.Attr, err *error) {
	r := recover()
	if r == nil {
		return
	}
	log().Error("socketbridge: "+source+" panicked", attr, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	if err != nil {
		*err = errPanic
	}
}

// guard runs a user's callback and recovers its panics.
func guard(log func() *slog.Logger, name string, fn func()) {
	defer recoverPanic(log, "a callback", slog.String("callback", name), nil)
	fn()
}

func (s *Socket) guard(name string, fn func()) { guard(s.log, name, fn) }

func (s *Server) guard(name string, fn func()) {
	guard(func() *slog.Logger { return s.log }, name, fn)
}
