package adminui

import (
	"encoding/json"
	"fmt"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Codes of the errors that answer a command that asks for an acknowledgement. The UI does not
// ask.
const (
	codeReadOnly  = "read_only"
	codeForbidden = "forbidden"
	codeInvalid   = "invalid_command"
)

func invalid(format string, args ...any) error {
	return &socketbridge.EventError{Code: codeInvalid, Message: fmt.Sprintf(format, args...)}
}

// registerCommands adds the handlers of the commands.
func (u *UI) registerCommands() {
	commands := map[string]func(p *socketbridge.Packet) (target, error){
		"emit":        u.emit,
		"join":        u.join,
		"leave":       u.leave,
		"_disconnect": u.disconnect,
	}
	for name, run := range commands {
		u.ns.On(name, func(p *socketbridge.Packet) error {
			if u.cfg.ReadOnly {
				return &socketbridge.EventError{Code: codeReadOnly, Message: "the Admin UI is read-only"}
			}
			if !u.authorized(p.Socket()) {
				p.Socket().Disconnect()
				return &socketbridge.EventError{Code: codeForbidden, Message: "not authorized"}
			}
			to, err := run(p)
			if err != nil {
				return err
			}
			u.notices.Report(&commandNotice, name, "command", name, "namespace", notice.Text(to.namespace.Name()),
				"room", notice.Text(to.room), "remote", notice.Text(p.Socket().Handshake().RemoteIP))
			return p.Ack()
		})
	}
}

// commandFailed reports the error of a command.
func (u *UI) commandFailed(p *socketbridge.Packet, err error) {
	u.notices.Report(&commandRefusedNotice, p.Event(), "command", notice.Text(p.Event()), "err", notice.Text(err.Error()),
		"remote", notice.Text(p.Socket().Handshake().RemoteIP))
}

// target is what a command acts on: the sockets in a room, or all of a namespace.
type target struct {
	namespace *socketbridge.Namespace
	room      string // "" for all sockets
}

func (t target) sockets() socketbridge.Broadcast {
	if t.room == "" {
		return t.namespace.Broadcast()
	}
	return t.namespace.To(t.room)
}

// target finds what a command acts on. The namespace must exist on this node: a client could
// otherwise create any number of them. filter is the position of the room's name, which may be
// missing.
func (u *UI) target(args []json.RawMessage, filter int) (target, error) {
	var t target
	var name string
	if !text(args, 0, &name) {
		return t, invalid("argument 0 must be the name of a namespace")
	}
	for _, ns := range u.namespaces() {
		if ns.Name() == name {
			t.namespace = ns
		}
	}
	if t.namespace == nil {
		return t, invalid("there is no such namespace")
	}
	if filter < len(args) && string(args[filter]) != "null" && !text(args, filter, &t.room) {
		return t, invalid("argument %d must be the name of a room, or be left out", filter)
	}
	return t, nil
}

// text decodes a string argument.
func text(args []json.RawMessage, i int, s *string) bool {
	return i < len(args) && len(args[i]) > 0 && args[i][0] == '"' && json.Unmarshal(args[i], s) == nil
}

// emit handles ("emit", nsp, filter, event, ...args).
func (u *UI) emit(p *socketbridge.Packet) (target, error) {
	args := p.Args()
	to, err := u.target(args, 1)
	if err != nil {
		return to, err
	}
	var event string
	if !text(args, 2, &event) || event == "" {
		return to, invalid("argument 2 must be the name of an event")
	}
	return to, to.sockets().Emit(event, p.Values()[3:]...)
}

// join handles ("join", nsp, room, filter).
func (u *UI) join(p *socketbridge.Packet) (target, error) {
	to, room, err := u.roomTarget(p)
	if err != nil {
		return to, err
	}
	return to, to.sockets().Join(room)
}

// leave handles ("leave", nsp, room, filter).
func (u *UI) leave(p *socketbridge.Packet) (target, error) {
	to, room, err := u.roomTarget(p)
	if err != nil {
		return to, err
	}
	return to, to.sockets().Leave(room)
}

func (u *UI) roomTarget(p *socketbridge.Packet) (to target, room string, err error) {
	if to, err = u.target(p.Args(), 2); err != nil {
		return to, "", err
	}
	if !text(p.Args(), 1, &room) || room == "" {
		return to, "", invalid("argument 1 must be the name of a room")
	}
	return to, room, nil
}

// disconnect handles ("_disconnect", nsp, close, filter).
func (u *UI) disconnect(p *socketbridge.Packet) (target, error) {
	args := p.Args()
	to, err := u.target(args, 2)
	if err != nil {
		return to, err
	}
	var closeConn bool
	if len(args) < 2 || json.Unmarshal(args[1], &closeConn) != nil || string(args[1]) == "null" {
		return to, invalid("argument 1 must be true or false")
	}
	return to, to.sockets().Disconnect(closeConn)
}
