package inspector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// endFor ends a socket, a session or all sessions of a user for an administrator. The pass of
// the query shows that Authorize has just been asked again.
func (i *inspector) endFor(ctx context.Context, page *socketbridge.Socket, q *query) *answer {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endIn) // goes on if the page is closed
	defer cancel()
	administrator, ok := i.redeem(ctx, q.Pass)
	if shown, open := i.administrator(page); !ok || !open || shown != administrator {
		i.notices.Report(&refusedNotice, "end", "socket", page.ID(), "remote", page.Handshake().RemoteIP)
		return &answer{Error: "You are not allowed to do this any more."}
	}
	var (
		what string
		err  error
	)
	switch {
	case q.Socket != "":
		what, err = "socket", i.endSocket(q.Namespace, q.Socket)
	case q.Session != "":
		what, err = "session", i.endSession(ctx, q.User, q.Session)
	case q.User != "":
		what, err = "user", i.endUser(ctx, q.User)
	default:
		return &answer{Error: "Nothing was named."}
	}
	outcome := "ended"
	if err != nil {
		outcome = "failed"
	}
	if err != nil && !errors.Is(err, errNotFound) && !errors.Is(err, fibersession.ErrNotFound) {
		i.notices.Report(&failedNotice, "end", "what", "end a "+what, "error", err)
	}
	i.audit("administrator", notice.Text(administrator), "what", what, "user", notice.Text(q.User), "session", notice.Text(q.Session), "socket", notice.Text(q.Socket), "outcome", outcome, "remote", page.Handshake().RemoteIP)
	i.timeline.add(&record{
		Kind: kindAction, Namespace: q.Namespace, User: q.User, Session: q.Session, Socket: q.Socket,
		Text: fmt.Sprintf("%s: %s, by %s", what, outcome, administrator),
	})
	if err != nil {
		return &answer{Error: reason(err)}
	}
	return &answer{OK: true}
}

// endSocket disconnects a socket, on whatever node it is.
func (i *inspector) endSocket(namespace, id string) error {
	for _, ns := range i.io.Namespaces() {
		if ns.Name() == namespace && ns != i.ns {
			return ns.In(id).Disconnect(false)
		}
	}
	return errNotFound
}

var errNotFound = errors.New("inspector: there is no such socket or session any more")

// endSession ends a session by its pseudonym: through the index of its user, or on the node
// that has one of its sockets.
func (i *inspector) endSession(ctx context.Context, user, name string) error {
	if i.sessions != nil && user != "" {
		devices, err := i.sessions.Devices(ctx, user)
		for _, d := range devices {
			if d.LogName == name {
				return i.sessions.EndDevice(ctx, user, d.ID)
			}
		}
		if err != nil && !errors.Is(err, fibersession.ErrUserKey) && !errors.Is(err, fibersession.ErrNoIndex) {
			return err
		}
	}
	a := i.ask(ctx, &query{Op: opEndHere, Session: name}, endIn-time.Second)
	switch {
	case a.OK:
		return nil
	case a.Error != "":
		return errors.New(a.Error)
	}
	return errNotFound
}

// endSessionHere ends a session that has a socket on this node.
func (i *inspector) endSessionHere(name string) (ended bool, problem string) {
	for s := range i.all() {
		if session, _ := subject(s); session != name {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), endIn)
		defer cancel()
		if err := s.Session().Destroy(ctx); err != nil && !errors.Is(err, fibersession.ErrSessionGone) {
			i.failed("the end of a session", err)
			return false, reason(err)
		}
		return true, ""
	}
	return false, ""
}

// endUser logs a user out everywhere, and disconnects the sockets that are left.
func (i *inspector) endUser(ctx context.Context, user string) error {
	if i.sessions == nil {
		return i.io.User(user).Disconnect()
	}
	_, err := i.sessions.EndAll(ctx, user)
	return errors.Join(err, i.io.User(user).Disconnect())
}

// reason says in the page why something failed. The log has the whole error.
func reason(err error) string {
	switch {
	case errors.Is(err, errNotFound), errors.Is(err, fibersession.ErrNotFound):
		return "It has already ended."
	case errors.Is(err, fibersession.ErrUserKey):
		return "fibersession.Config.UserKey is not set, so sessions have no users."
	case errors.Is(err, fibersession.ErrNoIndex):
		return "The storage keeps no index of users (storage.Index)."
	case errors.Is(err, fibersession.ErrUnavailable), errors.Is(err, fibersession.ErrUnknownOutcome):
		return "The session storage did not answer. The server's log says why."
	}
	return "It failed. The server's log says why (notice=inspector_failed)."
}
