package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

var kickCommand = command{
	name: "kick", short: "disconnect sockets",
	long: `
Disconnects the sockets of a user, a room or a session, or a socket by its ID, on all servers.
Several flags add up. Official clients do not reconnect on their own after that, but users stay
logged in and can connect again: see the command end.

kick first asks the servers which sockets match, and says how many. If a server does not answer,
it disconnects nevertheless, and exits with 1.`,
	setup: func(f *flag.FlagSet) func(context.Context, *program, *cluster, []string) error {
		var k kick
		k.register(f)
		f.BoolVar(&k.close, "close", false, "close the clients' connections, with their sockets in all namespaces")
		f.BoolVar(&k.dryRun, "dry-run", false, "only say how many sockets match")
		return k.do
	},
}

type kick struct {
	target
	close, dryRun bool
}

func (k *kick) do(ctx context.Context, p *program, c *cluster, args []string) error {
	if len(args) > 0 {
		return usagef("kick takes no arguments: %s. Say what they are, such as --user %[1]s", cleanAll(args))
	}
	if err := k.check(); err != nil {
		return err
	}
	spaces, err := k.namespaces.in(c.emitter())
	if err != nil {
		return err
	}
	ctx, cancel := c.waiting(ctx)
	defer cancel()
	matched, unsure := 0, error(nil)
	for _, ns := range spaces {
		to := k.in(ns)
		sockets, err := to.FetchSockets(ctx)
		if err != nil && !errors.Is(err, adapter.ErrIncomplete) {
			return err
		}
		matched, unsure = matched+len(sockets), errors.Join(unsure, err)
		if k.dryRun || len(sockets) == 0 && err == nil {
			continue
		}
		if err := to.Disconnect(k.close); err != nil {
			return err
		}
	}
	if c.json {
		if err := printJSON(p.stdout, map[string]any{"sockets": matched, "disconnected": !k.dryRun}); err != nil {
			return err
		}
	} else if k.dryRun {
		fmt.Fprintf(p.stdout, "would disconnect %s\n", plural(matched, "socket", "sockets"))
	} else if matched > 0 || unsure != nil {
		fmt.Fprintf(p.stdout, "disconnected %s\n", plural(matched, "socket", "sockets"))
	}
	if unsure == nil && matched == 0 {
		return fmt.Errorf("%w: no socket was disconnected", errNothing)
	}
	return unsure
}
