package doccheck_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// fileChecks are the checks of files in blocks. A check returns what is wrong, and the line in
// the text if it knows it.
var fileChecks = map[string]func(t *testing.T, text string) (line int, err error){
	"json":    checkJSON,
	"yaml":    checkYAML,
	"ini":     checkINI,
	"python":  checkPython,
	"nginx":   checkNginx,
	"haproxy": checkHAProxy,
}

// TestBlocks_Files: each block that is a file, or a part of one, is one that its program reads.
func TestBlocks_Files(t *testing.T) {
	t.Parallel()
	for lang := range fileChecks {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			blocks := blocksIn(t, lang)
			report(t, blocks, checkFiles(t, blocks))
		})
	}
}

func checkFiles(t *testing.T, blocks []block) (problems []problem) {
	t.Helper()
	for _, b := range blocks {
		if line, err := fileChecks[b.lang](t, b.text); err != nil {
			problems = append(problems, b.at(max(line, 1), "%v", err))
		}
	}
	return problems
}

func checkJSON(_ *testing.T, text string) (int, error) {
	var v any
	err := json.Unmarshal([]byte(text), &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return 1 + strings.Count(text[:syntax.Offset], "\n"), err
	}
	return 1, err
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

func checkYAML(_ *testing.T, text string) (int, error) {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var v any
		if err := decoder.Decode(&v); errors.Is(err, io.EOF) {
			return 0, nil
		} else if err != nil {
			return lineIn(yamlLine, err.Error()), err
		}
	}
}

// lineIn returns the line that a message names, or 0.
func lineIn(re *regexp.Regexp, message string) int {
	m := re.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	line, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return line
}

var iniLine = regexp.MustCompile(`^(\s*([#;].*)?|\[[^\]]+\]|[\w.-]+\s*=.*)$`)

func checkINI(_ *testing.T, text string) (int, error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		if !iniLine.MatchString(strings.TrimRight(line, "\n")) {
			return n, errors.New("neither a [section] nor a key=value")
		}
	}
	return 0, nil
}

var pythonLine = regexp.MustCompile(`<unknown>", line (\d+)`)

func checkPython(t *testing.T, text string) (int, error) {
	cmd := exec.Command(program(t, "python3"), "-c", "import ast, sys; ast.parse(sys.stdin.read())")
	cmd.Stdin = strings.NewReader(text)
	return result(cmd, pythonLine, 0)
}

// result runs a command that reads a block. added is how many lines stand before the block.
func result(cmd *exec.Cmd, line *regexp.Regexp, added int) (int, error) {
	out, err := cmd.CombinedOutput()
	if err == nil {
		return 0, nil
	}
	return lineIn(line, string(out)) - added, errors.New(strings.TrimSpace(string(out)))
}

var (
	nginxLine = regexp.MustCompile(`block\.conf:(\d+)`)
	proxyPass = regexp.MustCompile(`proxy_pass https?://([a-z_]+)[/;]`)
	directive = regexp.MustCompile(`(?m)^(location|server|upstream|events|http)\b`)
)

// checkNginx asks nginx. A block that is no whole file is put where its first directive belongs,
// with the upstreams that it names.
func checkNginx(t *testing.T, text string) (int, error) {
	dir := t.TempDir()
	before, after := "", ""
	first := directive.FindString(text)
	if first != "events" && first != "http" {
		before = "events {}\nhttp {\n"
		for _, m := range proxyPass.FindAllStringSubmatch(text, -1) {
			if upstream := "upstream " + m[1] + " {"; !strings.Contains(text, upstream) && !strings.Contains(before, upstream) {
				before += upstream + " server 127.0.0.1:3001; }\n"
			}
		}
		after = "}\n"
		if first != "server" && first != "upstream" {
			before += "server {\n"
			after = "}\n}\n"
		}
	}
	file := write(t, dir, "block.conf", before+text+after)
	cmd := exec.Command(program(t, "nginx"), "-t", "-q", "-p", dir, "-c", file, "-e", "stderr", "-g", "pid "+dir+"/pid;")
	return result(cmd, nginxLine, strings.Count(before, "\n"))
}

var (
	haproxyLine = regexp.MustCompile(`block\.cfg:(\d+)`)
	section     = regexp.MustCompile(`(?m)^(global|defaults|frontend|backend|listen)\b`)
)

// checkHAProxy asks HAProxy. A block without a section is put into a backend.
func checkHAProxy(t *testing.T, text string) (int, error) {
	before := ""
	if !strings.Contains(text, "defaults") {
		before += "defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n"
	}
	if !section.MatchString(text) {
		before += "backend nodes\n"
	}
	after := ""
	if !strings.Contains(text, "bind ") {
		after = "frontend none\n    bind 127.0.0.1:1\n" // without one, HAProxy has nothing to start
	}
	file := write(t, t.TempDir(), "block.cfg", before+text+after)
	return result(exec.Command(program(t, "haproxy"), "-c", "-f", file), haproxyLine, strings.Count(before, "\n"))
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBlocks_FilesFindMistakes: each check accepts a right block, and names the line of a mistake.
func TestBlocks_FilesFindMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ lang, text, want string }{
		"JSON":               {"json", "{\n\"a\": 1\n}", ""},
		"JSON, a comma":      {"json", "{\n\"a\": 1,\n}", "p.md:4: "},
		"YAML":               {"yaml", "a: 1\n---\nb: [1, 2]", ""},
		"YAML, a tab":        {"yaml", "a: 1\n\tb: 1", "p.md:3: "},
		"ini":                {"ini", "# a\n[Service]\nExecStart=/bin/x -y\n", ""},
		"ini, no key":        {"ini", "[Service]\nExecStart", "p.md:3: "},
		"Python":             {"python", "import x\nx.f(a=1)", ""},
		"Python, syntax":     {"python", "import x\nx.f(a=", "p.md:3: "},
		"nginx, a location":  {"nginx", "location /x/ {\n    proxy_pass http://nodes;\n}", ""},
		"nginx, a server":    {"nginx", "server {\n    listen 127.0.0.1:8080;\n}", ""},
		"nginx, a setting":   {"nginx", "location /x/ {\n    proxy_pas http://nodes;\n}", "p.md:3: "},
		"HAProxy, a file":    {"haproxy", "backend b\n    server s 127.0.0.1:3001 check", ""},
		"HAProxy, a part":    {"haproxy", "server s 127.0.0.1:3001 check", ""},
		"HAProxy, a setting": {"haproxy", "backend b\n    servr s 127.0.0.1:3001 check", "p.md:3: "},
		"HAProxy, in a part": {"haproxy", "option httpchk\nservr s 127.0.0.1:3001", "p.md:3: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, checkFiles(t, blocksOf("p.md", "```"+tt.lang+"\n"+tt.text+"\n```")), tt.want)
		})
	}
}
