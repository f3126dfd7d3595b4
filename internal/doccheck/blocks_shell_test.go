package doccheck_test

import (
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// TestBlocks_Shell: each block of shell is valid Bash. Its commands are known, and what they name
// exists: targets and variables of the Makefile, folders, tests, flags, environment variables.
func TestBlocks_Shell(t *testing.T) {
	t.Parallel()
	blocks := blocksIn(t, "sh")
	report(t, blocks, checkShell(t, blocks))
}

// commands are the programs that a block of shell may call. A program of ours is known by its
// folder, cmd/NAME.
var commands = map[string]func(c *shellChecker, args []string) []string{
	"go":   (*shellChecker).goCommand,
	"make": (*shellChecker).makeCommand,
	"cd":   (*shellChecker).cdCommand,

	"./run.sh": nil, // of the harness of benchmarks
	"apt-get":  nil, "brew": nil, "cat": nil, "cp": nil, "curl": nil, "docker": nil, "echo": nil, "export": nil, "git": nil,
	"grep": nil, "haproxy": nil, "helm": nil, "jq": nil, "journalctl": nil, "kubectl": nil, "mkdir": nil, "nginx": nil,
	"node": nil, "npm": nil, "npx": nil, "openssl": nil, "pip": nil, "promtool": nil, "redis-cli": nil,
	"redis-server": nil, "sed": nil, "sleep": nil, "sort": nil, "ss": nil, "sysctl": nil, "systemctl": nil,
	"ulimit": nil, "wait": nil, "wscat": nil,
}

// shellChecker checks the commands of one block.
type shellChecker struct {
	t    *testing.T
	own  map[string]string // command -> folder, relative to the top of the repository
	b    block
	dir  string   // where the command runs, relative to the top of the repository
	env  []string // variables that are set for the command
	seen []problem
}

func checkShell(t *testing.T, blocks []block) (problems []problem) {
	t.Helper()
	own := map[string]string{}
	for _, pattern := range []string{"cmd/*/main.go", "*/cmd/*/main.go"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			rel, err := filepath.Rel(root, filepath.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			own[filepath.Base(rel)] = filepath.ToSlash(rel)
		}
	}
	for _, b := range blocks {
		file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(b.text), "")
		var parse syntax.ParseError
		if errors.As(err, &parse) {
			problems = append(problems, b.at(int(parse.Pos.Line()), "%s", parse.Text))
			continue
		} else if err != nil {
			problems = append(problems, b.at(1, "%v", err))
			continue
		}
		c := shellChecker{t: t, own: own, b: b, dir: "."}
		c.walk(file)
		problems = append(problems, c.seen...)
	}
	return problems
}

// walk checks the commands below a node. A subshell has a working directory of its own.
func (c *shellChecker) walk(node syntax.Node) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Subshell:
			before := c.dir
			for _, stmt := range n.Stmts {
				c.walk(stmt)
			}
			c.dir = before
			return false
		case *syntax.CallExpr:
			c.call(n)
		}
		return true
	})
}

// ofRepository are paths that a reader has after a clone.
var ofRepository = regexp.MustCompile(`^(\./)?(docs|examples|fibersession|internal|socketbridge|storage)/`)

func (c *shellChecker) call(call *syntax.CallExpr) {
	if len(call.Args) == 0 {
		return
	}
	c.env = nil
	for _, assign := range call.Assigns {
		c.env = append(c.env, assign.Name.Value)
	}
	var words []string
	for _, w := range call.Args {
		words = append(words, literal(w))
	}
	found := []string{}
	for _, arg := range words[1:] {
		if ofRepository.MatchString(arg) && !c.exists(arg) {
			found = append(found, "there is no "+arg)
		}
	}
	check, known := commands[words[0]]
	switch {
	case known && check != nil:
		found = append(found, check(c, words[1:])...)
	case c.own[words[0]] != "":
		found = append(found, c.programArgs(c.own[words[0]], words[1:])...)
	case !known:
		found = append(found, "the test does not know the command "+words[0])
	}
	for _, text := range found {
		c.seen = append(c.seen, c.b.at(int(call.Pos().Line()), "%s", text))
	}
}

// literal is the text of a word. A part that the shell computes stands as "$".
func literal(w *syntax.Word) string {
	var text strings.Builder
	var add func(parts []syntax.WordPart)
	add = func(parts []syntax.WordPart) {
		for _, part := range parts {
			switch p := part.(type) {
			case *syntax.Lit:
				text.WriteString(p.Value)
			case *syntax.SglQuoted:
				text.WriteString(p.Value)
			case *syntax.DblQuoted:
				add(p.Parts)
			default:
				text.WriteByte('$')
			}
		}
	}
	add(w.Parts)
	return text.String()
}

// exists reports whether a path of the repository exists. "./x/..." is x.
func (c *shellChecker) exists(name string) bool {
	name = strings.TrimSuffix(name, "/...")
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(path.Join(c.dir, name))))
	return err == nil
}

func (c *shellChecker) cdCommand(args []string) []string {
	if len(args) != 1 || !c.exists(args[0]) {
		return []string{"there is no folder " + strings.Join(args, " ")}
	}
	c.dir = path.Join(c.dir, args[0])
	return nil
}

var assignment = regexp.MustCompile(`^([A-Z_]+)=`)

// makeCommand asks make what it would do, and looks up the variables.
func (c *shellChecker) makeCommand(args []string) (found []string) {
	makefile := read(c.t, "Makefile")
	variables := c.env
	for _, arg := range args {
		if m := assignment.FindStringSubmatch(arg); m != nil {
			variables = append(variables, m[1])
		}
	}
	for _, name := range variables {
		// A variable of the environment may be read by what the target runs.
		if !regexp.MustCompile(`\b`+name+`\b`).MatchString(makefile) && !c.reads(".ci", name) {
			found = append(found, "the Makefile does not know "+name)
		}
	}
	cmd := exec.Command(program(c.t, "make"), append([]string{"--dry-run"}, args...)...)
	cmd.Dir = root
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") })
	if out, err := cmd.CombinedOutput(); err != nil {
		found = append(found, strings.TrimSpace(string(out)))
	}
	return found
}

// ofGo are environment variables that any Go program or test may have.
var ofGo = regexp.MustCompile(`^(CI|GO[A-Z]*|CGO_ENABLED)$`)

// module is the path of this module.
const module = "github.com/fiberbridge/fiberbridge"

// goCommand checks go run, go test, go get and so on, as far as they name something of ours.
func (c *shellChecker) goCommand(args []string) (found []string) {
	if len(args) == 0 {
		return nil
	}
	sub, args := args[0], args[1:]
	var folders []string
	values := map[string]string{} // flag of go -> value
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if strings.HasPrefix(arg, "-") {
			if name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "="); ok {
				values[name] = value
			} else if len(args) > 0 && goFlagWithValue[name] {
				values[name], args = args[0], args[1:]
			}
			continue
		}
		folder, ours := c.folder(arg)
		if ours && !isPackage(strings.TrimSuffix(folder, "/...")) && folder != "..." && !strings.HasSuffix(folder, "/...") {
			found = append(found, "there is no package "+arg)
			continue
		}
		if !ours {
			continue
		}
		folders = append(folders, folder)
		if sub == "run" {
			return append(found, c.programArgs(folder, args)...)
		}
	}
	if sub != "test" || len(folders) != 1 || strings.HasSuffix(folders[0], "/...") {
		return found
	}
	for _, name := range c.env {
		if !ofGo.MatchString(name) && !c.reads(folders[0], name) {
			found = append(found, "the tests of "+folders[0]+" do not read "+name)
		}
	}
	for _, flag := range []string{"run", "bench"} {
		if pattern, ok := values[flag]; ok && pattern != "^$" && !hasTest(folders[0], pattern) {
			found = append(found, "no test of "+folders[0]+" matches "+pattern)
		}
	}
	return found
}

var goFlagWithValue = map[string]bool{
	"run": true, "bench": true, "fuzz": true, "timeout": true, "count": true, "parallel": true, "tags": true, "o": true,
	"benchtime": true, "fuzztime": true, "cpuprofile": true, "memprofile": true, "ldflags": true,
}

// folder returns the folder of a package of ours, relative to the top of the repository.
func (c *shellChecker) folder(arg string) (name string, ours bool) {
	arg, _, _ = strings.Cut(arg, "@")
	if rest, ok := strings.CutPrefix(arg, module); ok && (rest == "" || rest[0] == '/') {
		return path.Join(".", rest), true
	}
	if arg == "." || strings.HasPrefix(arg, "./") {
		return path.Join(c.dir, arg), true
	}
	return "", false
}

// isPackage reports whether a folder has Go files. The top of the repository has none, and is
// the module.
func isPackage(folder string) bool {
	found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*.go"))
	return err == nil && (len(found) > 0 || folder == ".")
}

// sources returns the text of the Go files of a folder, or of any files if it has none.
func sources(folder string) string {
	var all strings.Builder
	for _, pattern := range []string{"*.go", "*"} {
		found, _ := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), pattern))
		for _, file := range found {
			text, _ := os.ReadFile(file)
			all.Write(text)
		}
		if all.Len() > 0 {
			break
		}
	}
	return all.String()
}

// reads reports whether the files of a folder name an environment variable.
func (c *shellChecker) reads(folder, name string) bool {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(sources(folder))
}

var flagName = regexp.MustCompile(`^--?([a-z][a-z-]*)`)

// programArgs checks the flags of a program of ours, the command after it if it has commands, and
// the environment variables before it.
func (c *shellChecker) programArgs(folder string, args []string) (found []string) {
	text := sources(folder)
	for _, name := range c.env {
		if !ofGo.MatchString(name) && !strings.Contains(text, `"`+name+`"`) {
			found = append(found, folder+" does not read "+name)
		}
	}
	for _, arg := range args {
		m := flagName.FindStringSubmatch(arg)
		if m == nil || m[1] == "help" || m[1] == "h" {
			continue
		}
		if !regexp.MustCompile(`\.(Bool|String|Int|Uint|Float|Duration|Text|Func|Var)\w*\([^"\n]*"` + m[1] + `"`).MatchString(text) {
			found = append(found, folder+" has no flag "+m[1])
		}
	}
	if strings.Contains("/"+folder, "/cmd/") && len(args) > 0 && !strings.HasPrefix(args[0], "-") && !strings.Contains(text, `"`+args[0]+`"`) {
		found = append(found, folder+" has no command "+args[0])
	}
	return found
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz|Example)\w*)\(`)

// hasTest reports whether a test or benchmark of a folder matches a pattern of go test.
func hasTest(folder, pattern string) bool {
	top, _, _ := strings.Cut(pattern, "/")
	re, err := regexp.Compile(top)
	if err != nil {
		return false
	}
	for _, m := range testFunc.FindAllStringSubmatch(sources(folder), -1) {
		if re.MatchString(m[1]) {
			return true
		}
	}
	return false
}

// TestBlocks_ShellFindsMistakes: checkShell names the line of each mistake.
func TestBlocks_ShellFindsMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"right":              {"make lint\nSTORAGE=redis://x PORT=1 go run ./examples/chat -node # a node", ""},
		"syntax":             {"make\n(make", "p.md:3: reached EOF without matching `(` with `)`"},
		"a placeholder":      {"make bench-peers BENCH_DIR=<folder>\n", "p.md:2: "},
		"no such command":    {"make\nmakee", "p.md:3: the test does not know the command makee"},
		"in a subshell":      {"(cd examples/chat && go run .)\n(cd docs && go run .)", "p.md:3: there is no package ."},
		"no such target":     {"make tests", "p.md:2: make: *** No rule to make target 'tests'"},
		"no such variable":   {"make race PKGS=./x", "p.md:2: the Makefile does not know PKGS"},
		"no such folder":     {"cd chatt", "p.md:2: there is no folder chatt"},
		"no such package":    {"\ngo run ./chatt", "p.md:3: there is no package ./chatt"},
		"no such import":     {"go get " + module + "/socketbrigde@latest", "p.md:2: there is no package " + module + "/socketbrigde@latest"},
		"the module":         {"go get " + module, ""},
		"a module of others": {"go install example.com/x@latest", ""},
		"no such flag":       {"go run ./examples/chat -nodes", "p.md:2: examples/chat has no flag nodes"},
		"not read":           {"STORE=x go run ./examples/chat", "p.md:2: examples/chat does not read STORE"},
		"no such test":       {"go test ./fibersession -run Nonesuch -v", "p.md:2: no test of fibersession matches Nonesuch"},
		"no such file":       {"haproxy -c -f examples/chat/haproxy.conf", "p.md:2: there is no examples/chat/haproxy.conf"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, checkShell(t, blocksOf("p.md", "```sh\n"+tt.text+"\n```")), tt.want)
		})
	}
}
