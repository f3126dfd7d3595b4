// Package noticetest checks in tests what a package reports: that each of its kinds is
// provoked, logged in one line with its setting, and counted.
package noticetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
)

// Kind is a notice.Kind as the source declares it.
type Kind struct {
	Name, Level, Text, Setting string
	Once                       bool
}

// Declared returns the kinds that the package in dir declares, by name.
func Declared(t testing.TB, dir string) map[string]Kind {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]Kind{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || !isKind(lit.Type) {
				return true
			}
			k := kindOf(t, file, lit)
			if _, twice := kinds[k.Name]; twice {
				t.Errorf("%s declares %q, which is declared already", file, k.Name)
			}
			kinds[k.Name] = k
			return false
		})
	}
	return kinds
}

func isKind(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "notice" && sel.Sel.Name == "Kind"
}

func kindOf(t testing.TB, file string, lit *ast.CompositeLit) (k Kind) {
	t.Helper()
	for _, elt := range lit.Elts {
		pair, ok := elt.(*ast.KeyValueExpr)
		if !ok {
			t.Fatalf("%s: a notice.Kind names its fields", file)
		}
		switch field := pair.Key.(*ast.Ident).Name; field {
		case "Name":
			k.Name = text(t, file, pair.Value)
		case "Text":
			k.Text = text(t, file, pair.Value)
		case "Setting":
			k.Setting = text(t, file, pair.Value)
		case "Level":
			k.Level = strings.TrimPrefix(pair.Value.(*ast.SelectorExpr).Sel.Name, "Level")
		case "Once":
			k.Once = true
		}
	}
	return k
}

// text returns the value of a string constant that may be concatenated of several.
func text(t testing.TB, file string, e ast.Expr) string {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			return s
		}
	case *ast.BinaryExpr:
		return text(t, file, e.X) + text(t, file, e.Y)
	}
	t.Fatalf("%s: a field of a notice.Kind is no string constant", file)
	return ""
}

// minPart is how long a part of a message must be to be told from that of another.
const minPart = 15

// Asserted checks that a test of the package in dir is about each of its kinds: that it is in
// provoked, or that a test has its name, or a part of its message, as a string.
func Asserted(t testing.TB, dir string, provoked ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var literals []string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && s != "" {
					literals = append(literals, s)
				}
			}
			return true
		})
	}
	for name, k := range Declared(t, dir) {
		if slices.Contains(provoked, name) {
			continue
		}
		_, message, _ := strings.Cut(k.Text, ": ") // without the package's name
		if !slices.ContainsFunc(literals, func(s string) bool {
			return strings.HasSuffix(s, name) || len(s) >= minPart && strings.Contains(message, s)
		}) {
			t.Errorf("no test provokes %s", name)
		}
	}
}

// Log records the lines of a logger, of all levels.
type Log struct{ testlog.Log }

// Logger returns a logger that writes to l.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Lines returns the lines of one kind.
func (l *Log) Lines(name string) (lines []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, " notice="+name+"\n") {
			lines = append(lines, line)
		}
	}
	return lines
}

// Check checks that the kind was counted and logged in one line, which names its setting
// and holds none of the secrets.
func (l *Log) Check(t testing.TB, k Kind, counts map[string]uint64, secrets ...string) {
	t.Helper()
	lines := l.Lines(k.Name)
	if len(lines) != 1 {
		t.Errorf("%s: %d lines are logged, want 1:\n%s\nthe whole log is:\n%s", k.Name, len(lines), strings.Join(lines, ""), l)
		return
	}
	if counts[k.Name] == 0 {
		t.Errorf("%s is not counted: %v", k.Name, counts)
	}
	if k.Setting != "" && !strings.Contains(lines[0], k.Setting) {
		t.Errorf("%s does not name %s:\n%s", k.Name, k.Setting, lines[0])
	}
	if want := "level=" + strings.ToUpper(k.Level); !strings.Contains(lines[0], want) {
		t.Errorf("%s: want %s in %s", k.Name, want, lines[0])
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(l.String(), secret) {
			t.Errorf("%s: a secret is in the log:\n%s", k.Name, l)
		}
	}
}
