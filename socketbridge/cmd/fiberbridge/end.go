package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
)

var endCommand = command{
	name: "end", short: "log users out: end their sessions",
	long: `
Ends all sessions of a user, as fibersession's Store.EndAll does: the user is logged out on all
devices, and all their sockets are disconnected on all servers of this module.

--session-prefix must be the prefix of the servers' sessions. With another one, no session is
found.`,
	setup: func(f *flag.FlagSet) func(context.Context, *program, *cluster, []string) error {
		var users list
		f.Var(&users, "user", "the user's `id`, can be repeated")
		return func(ctx context.Context, p *program, c *cluster, args []string) error {
			return end(ctx, p, c, users, args)
		}
	},
}

func end(ctx context.Context, p *program, c *cluster, users list, args []string) error {
	if len(args) > 0 {
		return usagef("end takes no arguments: %s. Say what they are, such as --user %[1]s", cleanAll(args))
	}
	if len(users) == 0 {
		return usagef("whose sessions? Give --user")
	}
	var errs []error
	total := 0
	for _, user := range users {
		if user == "" {
			return usagef("--user is empty")
		}
		n, err := endAll(ctx, c, user)
		total += n
		if err != nil {
			errs = append(errs, fmt.Errorf("user %s: %w; call the command again", clean(user), err))
		}
		if c.json {
			err = printJSON(p.stdout, map[string]any{"user": user, "sessions": n})
		} else {
			_, err = fmt.Fprintf(p.stdout, "ended %s of user %s\n", plural(n, "session", "sessions"), clean(user))
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil || total > 0 {
		return err
	}
	return fmt.Errorf("%w: no session was ended", errNothing)
}

func endAll(ctx context.Context, c *cluster, user string) (int, error) {
	ctx, cancel := c.waiting(ctx)
	defer cancel()
	return c.sessions.EndAll(ctx, user)
}
