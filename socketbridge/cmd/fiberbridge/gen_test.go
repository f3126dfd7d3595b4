package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const shapes = "../../contract/gen/testdata/shapes"

func TestM1_Gen(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile("../../contract/gen/testdata/shapes.ts")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "events.ts")
	s := newShell(t)
	if out, errOut, code := s.run("", "gen", "ts", shapes); code != 0 || out != string(golden) {
		t.Fatalf("gen ts exits with %d and prints %q, and %q; want the golden file", code, out, errOut)
	}
	for _, step := range []struct {
		name     string
		before   func() error
		args     []string
		code     int
		contains string // what stderr contains
	}{
		{"--check without a file", nil, []string{"--check", "--out", file}, 1, "is stale"},
		{"--out writes the file", nil, []string{"--out", file}, 0, ""},
		{"--check of a file that was just written", nil, []string{"--check", "--out", file}, 0, ""},
		{"--check of a stale file", func() error { return os.WriteFile(file, golden[1:], 0o644) }, []string{"--check", "--out", file}, 1, "is stale"},
	} {
		if step.before != nil {
			if err := step.before(); err != nil {
				t.Fatal(err)
			}
		}
		out, errOut, code := s.run("", append(append([]string{"gen", "ts"}, step.args...), shapes)...)
		if code != step.code || out != "" || !strings.Contains(errOut, step.contains) || step.code != 0 && !strings.Contains(errOut, file) {
			t.Errorf("%s: exits with %d, and prints %q and %q; want %d, nothing and %q with the file's name", step.name, code, out, errOut, step.code, step.contains)
		}
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(golden[1:]) {
		t.Errorf("--check has changed the file: %v", err)
	}
}

func TestM1_GenUsage(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for _, args := range [][]string{{"gen"}, {"gen", "go"}, {"gen", "ts", "--no-such-flag"}, {"gen", "ts", "--check"}} {
		if out, errOut, code := s.run("", args...); code != 2 || out != "" || errOut == "" {
			t.Errorf("%q exits with %d, and prints %q and %q; want 2 and what is wrong", args, code, out, errOut)
		}
	}
	for _, args := range [][]string{{"gen", "--help"}, {"gen", "ts", "--help"}, {"help", "gen"}} {
		if out, _, code := s.run("", args...); code != 0 || !strings.HasPrefix(out, "Usage: fiberbridge gen ts") {
			t.Errorf("%q exits with %d and prints %q; want its help", args, code, out)
		}
	}
	if _, errOut, code := s.run("", "gen", "ts", "./no/such/package"); code != 1 || !strings.Contains(errOut, "no/such/package") {
		t.Errorf("gen ts of no package exits with %d and prints %q", code, errOut)
	}
}
