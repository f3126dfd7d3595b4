package doccheck_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a page.
type block struct {
	page   string // "docs/adapter.md"
	line   int    // of the first line of the text
	lang   string
	text   string
	mark   bool   // "not compiled" stands before the block
	reason string // of the mark
}

// problem is a mistake in a page.
type problem struct {
	page string
	line int
	text string
}

func (p problem) String() string { return fmt.Sprintf("%s:%d: %s", p.page, p.line, p.text) }

// at returns a problem in the nth line of the block, counted from 1.
func (b block) at(n int, format string, args ...any) problem {
	return problem{b.page, b.line + n - 1, fmt.Sprintf(format, args...)}
}

// has reports whether the problem is in the block.
func (b block) has(p problem) bool {
	return p.page == b.page && p.line >= b.line-1 && p.line <= b.line+strings.Count(b.text, "\n")
}

var (
	fence     = regexp.MustCompile("^([ \t]*)(```+)[ \t]*([^`\\s]*)")
	markStart = regexp.MustCompile(`^\s*<!--\s*not compiled(?::\s*(.*?))?\s*-->\s*$`)
)

// blocksOf returns the blocks of a page. A block in a list loses the indentation of its fence.
func blocksOf(page, text string) (all []block) {
	var open *block
	var indent, ticks string
	mark, reason := false, ""
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open == nil && m != nil:
			indent, ticks = m[1], m[2]
			open = &block{page: page, line: i + 2, lang: m[3], mark: mark, reason: reason}
		case open != nil && m != nil && m[3] == "" && len(m[2]) >= len(ticks):
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		}
		mark, reason = false, ""
		if m := markStart.FindStringSubmatch(line); m != nil && open == nil {
			mark, reason = true, m[1]
		}
	}
	return all
}

// pageNames are the pages of the repository, relative to its top: those at the top, in docs and
// in .github, and each README.md.
func pageNames(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"node_modules", ".git", ".cache", "testdata"}, d.Name()) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(file) != ".md" {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		top, _, inFolder := strings.Cut(rel, "/")
		if !inFolder || top == "docs" || top == ".github" || d.Name() == "README.md" {
			names = append(names, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 {
		t.Fatalf("found only %d pages", len(names))
	}
	return names
}

// blocksIn returns the blocks of all pages in one of the languages; without one, all blocks.
func blocksIn(t *testing.T, langs ...string) (all []block) {
	t.Helper()
	for _, page := range pageNames(t) {
		for _, b := range blocksOf(page, read(t, page)) {
			if len(langs) == 0 || slices.Contains(langs, b.lang) {
				all = append(all, b)
			}
		}
	}
	return all
}

// report fails the test for each problem that is not expected.
func report(t *testing.T, blocks []block, problems []problem) {
	t.Helper()
	for _, p := range unexpected(blocks, problems) {
		t.Error(p)
	}
	for _, b := range blocks {
		if b.mark {
			t.Logf("%s:%d is not compiled: %s", b.page, b.line, b.reason)
		}
	}
	t.Logf("%d blocks", len(blocks))
}

// unexpected returns the problems outside of the marked blocks, and the marked blocks without one.
func unexpected(blocks []block, problems []problem) (all []problem) {
	for _, p := range problems {
		if !slices.ContainsFunc(blocks, func(b block) bool { return b.mark && b.has(p) }) {
			all = append(all, p)
		}
	}
	for _, b := range blocks {
		if b.mark && !slices.ContainsFunc(problems, b.has) {
			all = append(all, b.at(0, "the block has nothing wrong: remove the mark \"not compiled\""))
		}
	}
	return all
}

// program returns the path of a tool. If it is missing, the test fails if CI is set, and is
// skipped otherwise.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") != "":
		t.Fatalf("%s is missing although CI is set: %v", name, err)
	default:
		t.Skipf("%s is missing: %v", name, err)
	}
	return ""
}

// languages are those that a block may have, and whether a test checks them.
var languages = map[string]bool{
	"go": true, "js": true, "html": true, "python": true, "sh": true,
	"json": true, "yaml": true, "ini": true, "nginx": true, "haproxy": true,
	"text": false, "mermaid": false, "dockerfile": false, "promql": false, "http": false,
}

// maxMarked is how many blocks may be marked "not compiled". Such a block can be wrong in a
// second way, and no test would tell.
const maxMarked = 5

// TestBlocks_HaveALanguage: each block says its language, so that its test finds it, and each
// mark "not compiled" has a reason.
func TestBlocks_HaveALanguage(t *testing.T) {
	t.Parallel()
	all := blocksIn(t)
	for _, p := range wrongLanguages(all) {
		t.Error(p)
	}
	marked, found := 0, map[string]int{}
	for _, b := range all {
		found[b.lang]++
		if b.mark {
			marked++
		}
	}
	for _, lang := range []string{"go", "js", "sh"} {
		if found[lang] < 10 {
			t.Errorf("found only %d blocks in %s", found[lang], lang)
		}
	}
	if marked > maxMarked {
		t.Errorf("%d blocks are marked \"not compiled\", want at most %d", marked, maxMarked)
	}
}

// wrongLanguages returns the blocks without a language, with an unknown one, with a mark that
// has no effect or no reason, and those that call code "text".
func wrongLanguages(blocks []block) (problems []problem) {
	for _, b := range blocks {
		checked, known := languages[b.lang]
		switch {
		case b.lang == "":
			problems = append(problems, b.at(0, "the block has no language; output and logs are ```text"))
		case !known:
			problems = append(problems, b.at(0, "no test knows the language %q", b.lang))
		case b.mark && !checked:
			problems = append(problems, b.at(0, "no test checks %s, so the mark \"not compiled\" has no effect", b.lang))
		case b.mark && b.reason == "":
			problems = append(problems, b.at(0, "the mark \"not compiled\" has no reason"))
		case b.lang == "text":
			if lang := looksLike(b.text); lang != "" {
				problems = append(problems, b.at(0, "the block is marked as text and looks like %s", lang))
			}
		}
	}
	return problems
}

var (
	codeOfGo = regexp.MustCompile(`(?m)^\s*(func |package |import |var |type |defer |.* := )`)
	codeOfJS = regexp.MustCompile(`(?m)^\s*(const|let|await|export|async) |=> [{(]|^\s*\w+(\.\w+)+\(.*\);?$`)
)

// looksLike returns the language of code that is marked as text, or "".
func looksLike(text string) string {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) > 1 {
			if _, known := commands[fields[0]]; known {
				return "sh"
			}
		}
	}
	switch {
	case codeOfGo.MatchString(text):
		return "go"
	case codeOfJS.MatchString(text):
		return "js"
	}
	return ""
}

// TestBlocks_WrongLanguages: wrongLanguages finds each kind of mistake.
func TestBlocks_WrongLanguages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want string // "" if the page is right
	}{
		"none":             {"```\nx\n```", "p.md:1: the block has no language; output and logs are ```text"},
		"unknown":          {"\n```golang\nx\n```", "p.md:2: no test knows the language \"golang\""},
		"Go as text":       {"```text\nx := f()\n```", "p.md:1: the block is marked as text and looks like go"},
		"JS as text":       {"```text\nconst x = f()\n```", "p.md:1: the block is marked as text and looks like js"},
		"a call as text":   {"```text\nsocket.emit(\"x\");\n```", "p.md:1: the block is marked as text and looks like js"},
		"shell as text":    {"```text\nmake test\n```", "p.md:1: the block is marked as text and looks like sh"},
		"no reason":        {"<!-- not compiled -->\n```go\nx\n```", "p.md:2: the mark \"not compiled\" has no reason"},
		"an empty reason":  {"<!-- not compiled: -->\n```go\nx\n```", "p.md:2: the mark \"not compiled\" has no reason"},
		"a mark of a log":  {"<!-- not compiled: a log -->\n```text\nx\n```", "p.md:2: no test checks text, so the mark \"not compiled\" has no effect"},
		"a log":            {"```text\nlevel=WARN msg=\"x: (y)\" notice=z\n```", ""},
		"a reason":         {"<!-- not compiled: wrong -->\n```go\nx\n```", ""},
		"a block in a log": {"````text\n```\n````", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, wrongLanguages(blocksOf("p.md", tt.text)), tt.want)
		})
	}
}

// compare fails the test if there is another problem than want, or none. An empty want is none.
func compare(t *testing.T, got []problem, want string) {
	t.Helper()
	if want == "" && len(got) == 0 {
		return
	}
	if len(got) != 1 || want == "" || !strings.HasPrefix(got[0].String(), want) {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestBlocks_Marks: a mark allows the mistakes of its block only, and there has to be one.
func TestBlocks_Marks(t *testing.T) {
	t.Parallel()
	blocks := blocksOf("p.md", "<!-- not compiled: wrong -->\n```go\na\nb\n```\n\n```go\nc\n```")
	for name, tt := range map[string]struct {
		problems []problem
		want     string
	}{
		"in the marked block": {[]problem{{"p.md", 4, "x"}}, ""},
		"in the other":        {[]problem{{"p.md", 4, "x"}, {"p.md", 8, "y"}}, "p.md:8: y"},
		"none":                {nil, "p.md:2: the block has nothing wrong"},
		"in another page":     {[]problem{{"p.md", 3, "x"}, {"q.md", 3, "z"}}, "q.md:3: z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, unexpected(blocks, tt.problems), tt.want)
		})
	}
}

func TestBlocks_Extract(t *testing.T) {
	t.Parallel()
	page := "# T\n\n```go\na\n\n b\n```\n- x\n  ```sh\n  c\n    d\n  ```\n<!-- not compiled: wrong -->\n```js title\ne\n```\n"
	want := []block{
		{page: "p.md", line: 4, lang: "go", text: "a\n\n b\n"},
		{page: "p.md", line: 10, lang: "sh", text: "c\n  d\n"},
		{page: "p.md", line: 15, lang: "js", text: "e\n", mark: true, reason: "wrong"},
	}
	if got := blocksOf("p.md", page); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
