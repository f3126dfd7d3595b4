package socketbridge

import (
	"errors"
	"log/slog"
)

// handle takes one event all the way: session, middlewares, listeners, save,
// answer. It runs on the socket's inbox. This is the one place where the handlers
// of users run.
func (s *Socket) handle(p *Packet) {
	err := s.run(p)
	if err == errDropped {
		return
	}
	saved := true
	if !errors.Is(err, errPanic) {
		if e := s.save(p); e != nil {
			saved = false
			err = errors.Join(err, e)
		}
	}
	p.settle(err, saved)
	if err != nil {
		s.failed(p, err)
	}
	if hook := s.server().cfg.Trace.Handled; hook != nil {
		s.guard("Trace.Handled", func() { hook(p, err) })
	}
}

// run goes through the packet's middlewares and listeners.
func (s *Socket) run(p *Packet) (err error) {
	defer caught(s.log, "a handler", slog.String("event", p.event), &err)
	if err := p.check(); err != nil {
		return err
	}
	p.stage, p.chain, p.next = inMiddlewares, s.middlewares(), 0
	return p.Next()
}

// errDropped ends a packet of a socket that the server has disconnected: nobody is
// told of it.
var errDropped = errors.New("socketbridge: the event came too late")

// late says whether the server has ended the packet's socket.
func (p *Packet) late() error {
	if p.socket.forced() {
		return errDropped
	}
	return nil
}

// listen runs the listeners of the event, each chain by itself, as Socket.IO calls
// each listener; an error in one does not keep the others from running.
func (p *Packet) listen() error {
	p.stage = inListeners
	s := p.socket
	if s.forced() {
		return nil // a middleware disconnected it: the event is dropped
	}
	if err := s.current(); err != nil {
		return err
	}
	any, own := s.listeners(p.event)
	var errs []error
	one := func(c chain) {
		p.chain, p.next = c, 0
		if err := p.Next(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, h := range any {
		one(chain{h})
	}
	for _, c := range s.ns.chains(p.event) {
		one(c)
	}
	for _, c := range own {
		one(c)
	}
	p.chain = nil
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// failed tells the socket's error handlers, and ends a socket whose session has.
func (s *Socket) failed(p *Packet, err error) {
	handlers := s.errorHandlers()
	for _, fn := range handlers {
		s.guard("OnError", func() { fn(p, err) })
	}
	if len(handlers) == 0 {
		s.log().Warn("socketbridge: an event ended with an error", "event", p.event, "error", err)
	}
	if s.session != nil && s.session.Err() != nil {
		s.lapse(s.session.Err())
	}
}
