package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

// The exit codes.
const (
	exitFailed  = 1 // the command failed, or is incomplete
	exitUsage   = 2 // the command line or the environment is wrong: nothing was done
	exitNothing = 3 // nothing matches: nothing was done
)

// errNothing means that no socket, user or session matches.
var errNothing = errors.New("nothing matches")

// usageError is an error in the command line or the environment.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// program is one run of the command.
type program struct {
	env            func(name string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// command is one of the commands.
type command struct {
	name, args, short string
	long              string
	setup             func(f *flag.FlagSet) func(ctx context.Context, p *program, c *cluster, args []string) error
}

var commands = []command{whoCommand, kickCommand, endCommand, emitCommand, tailCommand}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{env: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs the command and returns its exit code.
func (p *program) run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		p.help(p.stderr)
		return exitUsage
	}
	name := args[0]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(args) > 1 {
			return p.run(ctx, []string{args[1], "--help"})
		}
		p.help(p.stdout)
		return 0
	case "gen":
		return p.exitCode(name, p.gen(args[1:]))
	}
	for _, c := range commands {
		if c.name == name {
			return p.exitCode(name, p.runCommand(ctx, c, args[1:]))
		}
	}
	return p.exitCode("", usagef("there is no command %s: fiberbridge help lists them", clean(name)))
}

func (p *program) exitCode(name string, err error) int {
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(p.stderr, "fiberbridge: %s\n", usage)
		if name != "" {
			fmt.Fprintf(p.stderr, "See fiberbridge %s --help.\n", name)
		}
		return exitUsage
	case errors.Is(err, errNothing):
		fmt.Fprintf(p.stderr, "fiberbridge: %v\n", err)
		return exitNothing
	default:
		fmt.Fprintf(p.stderr, "fiberbridge: %v\n", explain(err))
		return exitFailed
	}
}

func (p *program) runCommand(ctx context.Context, c command, args []string) error {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are printed by exitCode
	do := c.setup(flags)
	own := map[string]bool{}
	flags.VisitAll(func(f *flag.Flag) { own[f.Name] = true })
	var s settings
	s.register(flags, p.env)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		p.commandHelp(c, flags, own)
		return err
	case err != nil:
		return usagef("%v", err)
	}
	cl, err := s.open(p)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, p, cl, flags.Args()), cl.close())
}

func (p *program) help(w io.Writer) {
	fmt.Fprint(w, `fiberbridge looks into a running cluster and acts on it.

Usage: fiberbridge COMMAND [FLAGS] [ARGUMENTS]

Commands:
`)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands {
		fmt.Fprintf(t, "  %s\t%s\n", c.name, c.short)
	}
	fmt.Fprintf(t, "  gen\twrite types or schemas of the events that an app declares\n")
	_ = t.Flush()
	fmt.Fprint(w, `
fiberbridge COMMAND --help shows the flags of a command.

Environment:
  FIBERBRIDGE_STORAGE  the URL of the servers' storage, such as redis://user:password@host:6379/0
  STORAGE              the same, if FIBERBRIDGE_STORAGE is not set
  FIBERBRIDGE_SECRETS  the secrets of the servers' adapter, separated by commas, if it has any:
                       each as text, or as base64:… or hex:…
  FIBERBRIDGE_ADAPTER  the default of --adapter

Exit codes:
  0  done
  1  failed, or incomplete because a server did not answer
  2  wrong command line or environment; nothing was done
  3  nothing matches; nothing was done
`)
}

func (p *program) commandHelp(c command, flags *flag.FlagSet, own map[string]bool) {
	w := p.stdout
	fmt.Fprintf(w, "Usage: fiberbridge %s [FLAGS]%s\n\n%s\n", c.name, c.args, strings.TrimSpace(c.long))
	for _, part := range []struct {
		title string
		own   bool
	}{{"Flags:", true}, {"Flags of all commands:", false}} {
		fmt.Fprintf(w, "\n%s\n", part.title)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		flags.VisitAll(func(f *flag.Flag) {
			if own[f.Name] != part.own {
				return
			}
			value, usage := flag.UnquoteUsage(f)
			if value != "" {
				value = " " + strings.ToUpper(value)
			}
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
				usage += " (default " + f.DefValue + ")"
			}
			fmt.Fprintf(t, "  --%s%s\t%s\n", f.Name, value, usage)
		})
		_ = t.Flush()
	}
}
