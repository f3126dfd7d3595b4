package socketbridge

import (
	"errors"
	"fmt"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// handle handles one event: it prepares the session, runs the middlewares and listeners,
// saves the session and sends the answer. It runs on a worker of the socket's inbox.
func (s *Socket) handle(p *Packet) {
	err := errPanic // unless run returns: a handler can end this goroutine
	defer func() { p.traceEnd(s.handled(p, err)) }()
	p.traceHandling()
	err = s.run(p)
}

// handled saves the session and sends the answer after the handlers of an event. It returns the
// outcome.
func (s *Socket) handled(p *Packet, err error) error {
	if err == errDropped {
		s.server().notices.Report(&eventDroppedNotice, "", "", (*loggedSocket)(s), "event", notice.Text(p.event))
		return err
	}
	if err == nil {
		err = p.ackError()
	}
	saved := true
	if !errors.Is(err, errPanic) {
		if e := p.saveSession(); e != nil {
			saved = false
			err = errors.Join(err, e)
		}
	}
	if o := s.client.observer; o != nil {
		o.Handled(s.ns.name, p.in.ID, p.in.HasID, err)
	}
	p.finishAck(err, saved)
	if err != nil {
		s.reportError(p, err)
	}
	s.traceHandled(p, err)
	return err
}

// run prepares the session and runs the packet's middlewares, which lead to
// runListeners.
func (s *Socket) run(p *Packet) (err error) {
	returned := false
	defer func() {
		if !returned {
			s.reportHandlerPanic(p, recover())
			err = errPanic
		}
	}()
	if err = p.prepareSession(); err == nil {
		p.stage, p.chain, p.next = inMiddlewares, s.middlewares(), 0
		err = p.Next()
	}
	returned = true
	return err
}

// errDropped ends a packet of a socket that the server has disconnected. It is reported
// to no handler and no client.
var errDropped = errors.New("socketbridge: the server has disconnected the socket")

// dropError returns errDropped if the server has ended the socket, and nil otherwise.
func (s *Socket) dropError() error {
	if s.endedByServer() {
		return errDropped
	}
	return nil
}

// runListeners runs the catch-all listeners and the event's chains. As in Socket.IO,
// each runs on its own: an error in one does not keep the others from running.
func (p *Packet) runListeners() error {
	p.stage = inListeners
	s := p.socket
	if s.endedByServer() {
		return nil // a middleware disconnected the socket: the event is dropped
	}
	if err := s.sessionError(); err != nil {
		return err
	}
	catchAll, own := s.listeners(p.event)
	shared := s.ns.chains(p.event)
	if len(catchAll)+len(shared)+len(own) == 0 {
		s.server().notices.Report(&eventUnhandledNotice, "", "", (*loggedSocket)(s), "event", notice.Text(p.event))
		return nil
	}
	var errs []error
	runChain := func(c chain) {
		p.chain, p.next = c, 0
		if err := p.Next(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, c := range catchAll {
		runChain(c)
	}
	for _, c := range shared {
		runChain(c)
	}
	for _, c := range own {
		runChain(c)
	}
	p.chain = nil
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// reportHandlerPanic reports that a handler of an event has not returned. Each event's first
// panic is logged; a client that makes up names cannot keep those of the app's events from
// the log.
func (s *Socket) reportHandlerPanic(p *Packet, recovered any) {
	s.report(&panicNotice, "event "+s.eventKey(p.event),
		append([]any{"where", "a handler", "event", notice.Text(p.event)}, notice.Panic(recovered)...)...)
}

// eventKey returns the event's name if the app handles it, and "" otherwise.
func (s *Socket) eventKey(event string) string {
	if _, own := s.listeners(event); len(own) > 0 || len(s.ns.chains(event)) > 0 {
		return event
	}
	return ""
}

// reportError calls the socket's error handlers, or logs the error if there are none. It
// ends the socket if its session has ended.
func (s *Socket) reportError(p *Packet, err error) {
	handlers := s.errorHandlers()
	for _, fn := range handlers {
		s.guard("OnError", func() { fn(p, err) })
	}
	if len(handlers) == 0 {
		s.logError(p, err)
	}
	if s.session != nil && s.session.Err() != nil {
		s.sessionEnded(s.session.Err())
	}
}

// logError logs a handler's error.
func (s *Socket) logError(p *Packet, err error) {
	var bad *ArgumentError
	if errors.As(err, &bad) { // a client can cause it with arguments of its choice
		kind, key := &badArgumentsNotice, fmt.Sprintf("%d %t %s", bad.Position, errors.Is(bad.Err, ErrMissingArg), s.eventKey(bad.Event))
		if bad.Code() == CodeInvalidArgument {
			kind, key = &invalidArgumentNotice, fmt.Sprintf("%s %v", s.eventKey(bad.Event), bad.Err)
		}
		s.report(kind, key, "event", notice.Text(p.event), "error", err)
		return
	}
	args := []any{"event", notice.Text(p.event), "error", err}
	if advice := adviceFor(err); advice != "" {
		args = append(args, "advice", advice)
	}
	s.report(&handlerErrorNotice, s.eventKey(p.event), args...)
}
