package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

var whoCommand = command{
	name: "who", short: "list the sockets or the users who are online",
	long: `
Lists the sockets of all servers, with their users, sessions, addresses and rooms. The flags
select some of them: a socket is listed if it matches one of --user, --room, --socket and
--session. With --users it lists the users who are online, in all namespaces, with those whose
last socket has left moments ago.

Sessions are shown by a name that is not their ID. Servers of Socket.IO for Node report neither
users nor sessions.`,
	setup: func(f *flag.FlagSet) func(context.Context, *program, *cluster, []string) error {
		var w who
		w.target.register(f)
		f.BoolVar(&w.onlyUsers, "users", false, "list the users instead of the sockets")
		f.IntVar(&w.limit, "limit", 0, "list at most this `number`")
		return w.do
	},
}

type who struct {
	target
	onlyUsers bool
	limit     int
}

// listedSocket is a line of who.
type listedSocket struct {
	Namespace string    `json:"namespace"`
	Socket    string    `json:"socket"`
	User      string    `json:"user,omitempty"`
	Session   string    `json:"session,omitempty"`
	Address   string    `json:"address"`
	Since     time.Time `json:"since"`
	Agent     string    `json:"agent,omitempty"`
	Rooms     []string  `json:"rooms"` // without the socket's own
}

func (w *who) do(ctx context.Context, p *program, c *cluster, args []string) error {
	switch {
	case len(args) > 0:
		return usagef("who takes no arguments: %s", cleanAll(args))
	case w.onlyUsers && (w.isSet() || len(w.except) > 0 || len(w.list) > 0):
		return usagef("--users lists the users of all namespaces: leave out the flags that select sockets")
	case w.limit < 0:
		return usagef("--limit is %d: it must not be negative", w.limit)
	case w.onlyUsers:
		return w.listUsers(ctx, p, c)
	}
	all, nodes, err := w.fetch(ctx, c)
	if w.limit > 0 && len(all) > w.limit {
		all = all[:w.limit]
	}
	if c.json {
		for _, s := range all {
			if err := printJSON(p.stdout, s); err != nil {
				return err
			}
		}
		return err
	}
	t := newTable(p.stdout, "NAMESPACE", "SOCKET", "USER", "SESSION", "ADDRESS", "SINCE", "ROOMS")
	users := map[string]bool{}
	for _, s := range all {
		t.row(clean(s.Namespace), clean(s.Socket), clean(s.User), clean(s.Session), clean(s.Address), s.Since.Local().Format(time.DateTime), cleanAll(s.Rooms))
		if s.User != "" {
			users[s.User] = true
		}
	}
	_ = t.w.Flush()
	fmt.Fprintf(p.stderr, "%s, %s, %s\n", plural(len(all), "socket", "sockets"), plural(len(users), "user", "users"), plural(nodes, "server", "servers"))
	return err
}

// fetch returns the sockets that match, in a stable order, and the greatest number of nodes that
// serve one of the namespaces. After an error it returns what it knows.
func (w *who) fetch(ctx context.Context, c *cluster) (all []listedSocket, nodes int, err error) {
	spaces, err := w.namespaces.in(c.emitter())
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := c.waiting(ctx)
	defer cancel()
	for _, ns := range spaces {
		var some []socketbridge.RemoteSocket
		if some, err = w.target.in(ns).FetchSockets(ctx); err == nil {
			var n int
			n, err = ns.Nodes(ctx)
			nodes = max(nodes, n)
		}
		for _, r := range some {
			all = append(all, listed(ns.Name(), r))
		}
		if err != nil {
			break
		}
	}
	slices.SortFunc(all, func(a, b listedSocket) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), a.Since.Compare(b.Since), cmp.Compare(a.Socket, b.Socket))
	})
	return all, nodes, err
}

func listed(namespace string, r socketbridge.RemoteSocket) listedSocket {
	hs := r.Handshake()
	rooms := slices.DeleteFunc(slices.Clone(r.Rooms()), func(room string) bool { return room == r.ID() })
	slices.Sort(rooms)
	return listedSocket{
		Namespace: namespace, Socket: r.ID(), User: r.User(), Session: string(r.Session()),
		Address: hs.Address, Since: hs.Time, Agent: hs.Header["user-agent"], Rooms: rooms,
	}
}

func (w *who) listUsers(ctx context.Context, p *program, c *cluster) error {
	ctx, cancel := c.waiting(ctx)
	defer cancel()
	n := 0
	for user, err := range c.emitter().OnlineUsers(ctx) {
		if err != nil {
			return err
		}
		if n++; c.json {
			err = printJSON(p.stdout, map[string]string{"user": user})
		} else {
			_, err = fmt.Fprintln(p.stdout, clean(user))
		}
		if err != nil || n == w.limit {
			return err
		}
	}
	return nil
}
