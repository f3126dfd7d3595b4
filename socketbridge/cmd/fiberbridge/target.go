package main

import (
	"flag"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/emitter"
)

// target is the flags that address sockets.
type target struct {
	namespaces
	users, rooms, sockets, sessions, except list
	all                                     bool
}

func (t *target) register(f *flag.FlagSet) {
	t.namespaces.register(f)
	f.Var(&t.users, "user", "sockets of the user with this `id`, can be repeated")
	f.Var(&t.rooms, "room", "sockets in the room of this `name`, can be repeated")
	f.Var(&t.sockets, "socket", "the socket with this `id`, can be repeated")
	f.Var(&t.sessions, "session", "sockets of the session with this `name`, as who shows it, can be repeated")
	f.Var(&t.except, "except", "but not sockets in the room of this `name`, can be repeated")
	f.BoolVar(&t.all, "all", false, "all sockets of the namespace")
}

// isSet reports whether the flags name sockets.
func (t *target) isSet() bool {
	return t.all || len(t.users)+len(t.rooms)+len(t.sockets)+len(t.sessions) > 0
}

// check returns an error unless the flags say which sockets are meant.
func (t *target) check() error {
	switch named := len(t.users)+len(t.rooms)+len(t.sockets)+len(t.sessions) > 0; {
	case !t.isSet():
		return usagef("which sockets? Give --user, --room, --socket or --session, or --all for all sockets of the namespace")
	case t.all && named:
		return usagef("--all and other sockets were given: leave out one of both")
	}
	return nil
}

// in addresses the sockets of a namespace. Several flags add up.
func (t *target) in(ns emitter.Namespace) socketbridge.Broadcast {
	b := ns.Broadcast()
	if len(t.users) > 0 {
		b = b.ToUser(t.users...)
	}
	if len(t.rooms) > 0 {
		b = b.To(t.rooms...)
	}
	if len(t.sockets) > 0 {
		b = b.To(t.sockets...)
	}
	for _, name := range t.sessions {
		b = b.ToSession(socketbridge.SessionName(name))
	}
	if len(t.except) > 0 {
		b = b.Except(t.except...)
	}
	return b
}
