package socketbridge

import (
	"log/slog"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// User code runs in one of three ways, so that what it does wrong costs its own socket at
// most:
//
//   - The handlers of an event run on the worker of their inbox, which is the fast way
//     (Socket.run, guardHere).
//   - Callbacks run on a goroutine of their own while the caller waits (guard). The caller
//     is a goroutine of this module, which has to go on.
//   - MarshalJSON of an app's value runs on the goroutine that sends it, and panics there.
//
// A callback that ends its goroutine (runtime.Goexit, as t.FailNow does) is treated like one
// that panics.

// reportPanic reports that user code has not returned. what and name say which code it was;
// about is logged too, if it is not nil.
func (s *Server) reportPanic(what, name string, about slog.LogValuer, recovered any) {
	args := []any{"where", what}
	if name != "" {
		args = append(args, "name", name)
	}
	if about != nil {
		args = append(args, "", about)
	}
	s.notices.Report(&panicNotice, what+" "+name, append(args, notice.Panic(recovered)...)...)
}

// guard runs a user's callback on a goroutine of its own and waits for it. It reports whether
// the callback has returned, rather than panicked.
func (s *Server) guard(name string, fn func()) bool { return s.guardAbout(name, nil, fn) }

func (s *Socket) guard(name string, fn func()) bool {
	return s.server().guardAbout(name, (*loggedSocket)(s), fn)
}

func (s *Server) guardAbout(name string, about slog.LogValuer, fn func()) (returned bool) {
	done := make(chan struct{})
	go func() { // received below
		defer close(done)
		s.call("a callback", name, about, &returned, fn)
	}()
	<-done
	return returned
}

// guardHere is guard on the caller's goroutine, which ends if the callback ends it.
func (s *Socket) guardHere(name string, fn func()) (returned bool) {
	s.server().call("a callback", name, (*loggedSocket)(s), &returned, fn)
	return returned
}

func (s *Server) call(what, name string, about slog.LogValuer, returned *bool, fn func()) {
	defer func() {
		if !*returned {
			s.reportPanic(what, name, about, recover())
		}
	}()
	fn()
	*returned = true
}
