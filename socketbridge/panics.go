package socketbridge

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// caught keeps a panic of the user's code from taking the process down: it is logged,
// and becomes errPanic in err unless that is nil. It must be deferred itself. log is
// called only when there was a panic.
func caught(log func() *slog.Logger, what string, which slog.Attr, err *error) {
	r := recover()
	if r == nil {
		return
	}
	log().Error("socketbridge: "+what+" panicked", which, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	if err != nil {
		*err = errPanic
	}
}

// guard runs a callback of the user's.
func guard(log func() *slog.Logger, name string, fn func()) {
	defer caught(log, "a callback", slog.String("callback", name), nil)
	fn()
}

func (s *Socket) guard(name string, fn func()) { guard(s.log, name, fn) }

func (s *Server) guard(name string, fn func()) {
	guard(func() *slog.Logger { return s.log }, name, fn)
}
