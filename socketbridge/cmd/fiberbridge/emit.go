package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// maxLine is the longest line of --stdin, in bytes.
const maxLine = 16 << 20

var emitCommand = command{
	name: "emit", args: " EVENT [JSON...]", short: "send an event to sockets",
	long: `
Sends an event to the sockets of a user, a room or a session, to a socket by its ID, or with --all
to all sockets of the namespace. Several flags add up. The arguments are JSON values:

  fiberbridge emit --room news headline '"It rains"' '{"at": 12}'

With --stdin it sends one event for each line of the standard input, which is a JSON array of the
arguments. It does not wait for the clients, except with --ack.`,
	setup: func(f *flag.FlagSet) func(context.Context, *program, *cluster, []string) error {
		var e emit
		e.register(f)
		f.BoolVar(&e.ack, "ack", false, "wait for the clients' answers and print each as a JSON array")
		f.BoolVar(&e.volatile, "volatile", false, "drop the event for clients that are not ready to receive it")
		f.BoolVar(&e.stdin, "stdin", false, "send an event for each line of the standard input")
		return e.do
	},
}

type emit struct {
	target
	ack, volatile, stdin bool
}

func (e *emit) do(ctx context.Context, p *program, c *cluster, args []string) error {
	if len(args) == 0 {
		return usagef("which event? Give its name and its arguments")
	}
	if err := e.check(); err != nil {
		return err
	}
	if e.stdin && len(args) > 1 {
		return usagef("--stdin takes the arguments of the event from the standard input: leave out %s", cleanAll(args[1:]))
	}
	values, err := parseArgs(args[1:])
	if err != nil {
		return err
	}
	spaces, err := e.namespaces.in(c.emitter())
	if err != nil {
		return err
	}
	var to []socketbridge.Broadcast
	for _, ns := range spaces {
		b := e.in(ns)
		if e.volatile {
			b = b.Volatile()
		}
		to = append(to, b)
	}
	if !e.stdin {
		return e.send(ctx, p, c, to, args[0], values)
	}
	lines := bufio.NewScanner(p.stdin)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan() && ctx.Err() == nil; n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var raw []json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &raw); err != nil {
			return fmt.Errorf("line %d is not a JSON array: %w", n, err)
		}
		if err := e.send(ctx, p, c, to, args[0], anyOf(raw)); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return errors.Join(lines.Err(), ctx.Err())
}

// send sends one event.
func (e *emit) send(ctx context.Context, p *program, c *cluster, to []socketbridge.Broadcast, event string, args []any) error {
	for _, b := range to {
		if !e.ack {
			if err := b.Emit(event, args...); err != nil {
				return emitError(err)
			}
			continue
		}
		waiting, cancel := c.waiting(ctx)
		answers, err := b.EmitWithAck(waiting, event, args...)
		cancel()
		for _, a := range answers {
			if err := printJSON(p.stdout, a.Args()); err != nil {
				return err
			}
		}
		if err != nil {
			return emitError(err)
		}
	}
	return nil
}

// emitError makes a wrong name an error in the command line.
func emitError(err error) error {
	if errors.Is(err, socketbridge.ErrReservedEvent) || errors.Is(err, socketbridge.ErrRoomName) {
		return usagef("%v", err)
	}
	return err
}

func parseArgs(texts []string) ([]any, error) {
	raw := make([]json.RawMessage, len(texts))
	for i, text := range texts {
		if !json.Valid([]byte(text)) {
			return nil, usagef(`argument %d is not JSON: %s. Put a text in quotes of its own, such as '"text"'`, i+1, clean(text))
		}
		raw[i] = json.RawMessage(text)
	}
	return anyOf(raw), nil
}

func anyOf(raw []json.RawMessage) []any {
	all := make([]any, len(raw))
	for i, v := range raw {
		all[i] = v
	}
	return all
}
