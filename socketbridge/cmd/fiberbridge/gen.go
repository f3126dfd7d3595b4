package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen"
)

const genHelp = `Usage: fiberbridge gen FORMAT [--out FILE [--check]] [PACKAGE...]

Writes what clients need of the events and session keys that Go packages declare with package
contract and fibersession.Key. Packages are named as for the go command; the default is the one
in this folder. It reads source and does not run the app, and needs no cluster.

All packages of one run are one namespace: for several namespaces, declare the events of each in
a package of its own, and run the command for each.

Formats:
  ts          types for socket.io-client, in TypeScript
  jsonschema  JSON Schema 2020-12, with the rules of validate tags
  asyncapi    AsyncAPI 3.0, as JSON

Flags:
  --out FILE   write to this file instead of the standard output
  --check      write nothing, and fail if FILE is not what would be written

Flags of asyncapi:
  --title TEXT    the title of the document (default: the name of the module)
  --version TEXT  the version of the document (default: 1.0.0, or 2.0.0 for a module …/v2)
`

// formats are what gen writes.
var formats = map[string]func(c *gen.Contract) []byte{
	"ts":         gen.TypeScript,
	"jsonschema": gen.JSONSchema,
	"asyncapi":   gen.AsyncAPI,
}

// gen runs the command gen, which unlike the others needs no cluster.
func (p *program) gen(args []string) error {
	if len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		fmt.Fprint(p.stdout, genHelp)
		return nil
	}
	switch {
	case len(args) == 0:
		return usagef("gen needs what to write: ts, jsonschema or asyncapi")
	case formats[args[0]] == nil && strings.HasPrefix(args[0], "-"):
		return usagef("what to write comes first, before %s: ts, jsonschema or asyncapi", clean(args[0]))
	case formats[args[0]] == nil:
		return usagef("gen does not write %s, but ts, jsonschema or asyncapi", clean(args[0]))
	}
	flags := flag.NewFlagSet("gen", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	out := flags.String("out", "", "")
	check := flags.Bool("check", false, "")
	var title, version string
	if args[0] == "asyncapi" {
		flags.StringVar(&title, "title", "", "")
		flags.StringVar(&version, "version", "", "")
	}
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.stdout, genHelp)
		return nil
	case err != nil:
		return usagef("%v", err)
	}
	if *check && *out == "" {
		return usagef("--check needs --out, the file to check")
	}
	patterns := flags.Args()
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	for _, pattern := range patterns {
		if strings.HasPrefix(pattern, "-") {
			return usagef("flags come before packages: write %s before %s", clean(pattern), clean(patterns[0]))
		}
	}
	c, err := gen.Load("", patterns...)
	if err != nil {
		return err
	}
	if len(c.Events)+len(c.Asks)+len(c.Keys) == 0 {
		return fmt.Errorf("%s declares no event and no session key at the top level: name the packages that do, such as ./events", strings.Join(patterns, " "))
	}
	c.Title, c.Version = cmp.Or(title, c.Title), cmp.Or(version, c.Version)
	text := formats[args[0]](c)
	switch {
	case *check:
		have, err := os.ReadFile(*out)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s does not exist: run %s", *out, withoutCheck(args))
		case err != nil:
			return err
		case !bytes.Equal(have, text):
			return fmt.Errorf("%s is stale: run %s", *out, withoutCheck(args))
		}
		return nil
	case *out == "":
		_, err = p.stdout.Write(text)
		return err
	}
	err = os.WriteFile(*out, text, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder %s does not exist: create it, or change --out", filepath.Dir(*out))
	}
	return err
}

// withoutCheck returns the command line that writes what --check found missing.
func withoutCheck(args []string) string {
	rest := slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return strings.HasPrefix(arg, "-") && name == "check"
	})
	return "fiberbridge gen " + strings.Join(rest, " ")
}
