package socketbridge

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// recoverPanic reports a panic of user code, so that it does not end the process. If err is
// not nil, *err is set to errPanic. It must be deferred directly. what and name say which
// code it was; about is logged too, if it is not nil.
func (s *Server) recoverPanic(what, name string, about slog.LogValuer, err *error) {
	r := recover()
	if r == nil {
		return
	}
	args := []any{"where", what}
	if name != "" {
		args = append(args, "name", name)
	}
	if about != nil {
		args = append(args, "", about)
	}
	s.notices.Report(&panicNotice, what+" "+name, append(args, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))...)
	if err != nil {
		*err = errPanic
	}
}

// guard runs a user's callback and recovers its panics.
func (s *Server) guard(name string, fn func()) { s.guardAbout(name, nil, fn) }

func (s *Socket) guard(name string, fn func()) {
	s.server().guardAbout(name, (*loggedSocket)(s), fn)
}

func (s *Server) guardAbout(name string, about slog.LogValuer, fn func()) {
	defer s.recoverPanic("a callback", name, about, nil)
	fn()
}
