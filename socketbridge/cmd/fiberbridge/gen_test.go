package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const shapes = "../../contract/gen/testdata/shapes"

func TestM1_Gen(t *testing.T) {
	t.Parallel()
	for format, golden := range map[string]string{"ts": "shapes.ts", "jsonschema": "shapes.schema.json", "asyncapi": "shapes.asyncapi.json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			testGen(t, format, filepath.Join("../../contract/gen/testdata", golden))
		})
	}
}

func testGen(t *testing.T, format, goldenFile string) {
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "events")
	s := newShell(t)
	if out, errOut, code := s.run("", "gen", format, shapes); code != 0 || out != string(golden) {
		t.Fatalf("gen exits with %d and prints %q, and %q; want the golden file", code, out, errOut)
	}
	for _, step := range []struct {
		name     string
		before   func() error
		args     []string
		code     int
		contains string // what stderr contains
	}{
		{"--check without a file", nil, []string{"--check", "--out", file}, 1, "does not exist: run fiberbridge gen " + format + " --out " + file + " " + shapes},
		{"--out writes the file", nil, []string{"--out", file}, 0, ""},
		{"--check of a file that was just written", nil, []string{"--check", "--out", file}, 0, ""},
		{"--check of a stale file", func() error { return os.WriteFile(file, golden[1:], 0o644) }, []string{"--check", "--out", file}, 1, "is stale: run fiberbridge gen " + format + " --out " + file + " " + shapes},
	} {
		if step.before != nil {
			if err := step.before(); err != nil {
				t.Fatal(err)
			}
		}
		out, errOut, code := s.run("", append(append([]string{"gen", format}, step.args...), shapes)...)
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
	for _, args := range [][]string{{"gen"}, {"gen", "go"}, {"gen", "ts", "--no-such-flag"}, {"gen", "ts", "--check"}, {"gen", "ts", "--title", "x"}, {"gen", "jsonschema", "--version", "1"}} {
		if out, errOut, code := s.run("", args...); code != 2 || out != "" || errOut == "" {
			t.Errorf("%q exits with %d, and prints %q and %q; want 2 and what is wrong", args, code, out, errOut)
		}
	}
	for _, args := range [][]string{{"gen", "--help"}, {"gen", "ts", "--help"}, {"help", "gen"}} {
		if out, _, code := s.run("", args...); code != 0 || !strings.HasPrefix(out, "Usage: fiberbridge gen FORMAT") {
			t.Errorf("%q exits with %d and prints %q; want its help", args, code, out)
		}
	}
	none := filepath.Join(t.TempDir(), "web", "events.ts")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"gen", "typescript"}, 2, "gen does not write typescript, but ts, jsonschema or asyncapi"},
		{[]string{"gen", "--out", "x.ts", "ts"}, 2, "what to write comes first, before --out"},
		{[]string{"gen", "ts", "./events", "--out", "x.ts"}, 2, "flags come before packages: write --out before ./events"},
		{[]string{"gen", "ts", "."}, 1, ". declares no event and no session key"},
		{[]string{"gen", "ts", "--out", none, shapes}, 1, "the folder " + filepath.Dir(none) + " does not exist"},
	} {
		if out, errOut, code := s.run("", c.args...); code != c.code || out != "" || !strings.Contains(errOut, c.want) {
			t.Errorf("%q exits with %d, and prints %q and %q; want %d and %s", c.args, code, out, errOut, c.code, c.want)
		}
	}
	if _, errOut, code := s.run("", "gen", "ts", "./no/such/package"); code != 1 || !strings.Contains(errOut, "no/such/package") {
		t.Errorf("gen ts of no package exits with %d and prints %q", code, errOut)
	}
}

// TestM1_GenTitle: AsyncAPI has the title and version of the flags, or those of the module.
func TestM1_GenTitle(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, `{"title":"fiberbridge","version":"1.0.0"}`},
		{[]string{"--title", "The shop", "--version", "3.1"}, `{"title":"The shop","version":"3.1"}`},
	} {
		out, errOut, code := s.run("", append(append([]string{"gen", "asyncapi"}, c.args...), shapes)...)
		var doc struct {
			Info struct {
				Title   string `json:"title"`
				Version string `json:"version"`
			} `json:"info"`
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 {
			t.Fatalf("%q exits with %d: %v, %s", c.args, code, err, errOut)
		}
		if got, _ := json.Marshal(doc.Info); string(got) != c.want {
			t.Errorf("%q: got %s; want %s", c.args, got, c.want)
		}
	}
}
