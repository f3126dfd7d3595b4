package doccheck_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// workflow is the part of a GitHub workflow that these tests read.
type workflow struct {
	Name        string
	On          any
	Permissions map[string]string
	Concurrency any
	Jobs        map[string]struct {
		Name           string
		RunsOn         string `yaml:"runs-on"`
		Container      string
		TimeoutMinutes int `yaml:"timeout-minutes"`
		Strategy       struct {
			FailFast bool `yaml:"fail-fast"`
			Matrix   map[string][]string
		}
		Steps []struct {
			Uses, Run, If string
			With          map[string]any
		}
	}
}

// readYAML decodes a file of .github. A field that T does not have is an error.
func readYAML[T any](t *testing.T, name string) (v T) {
	t.Helper()
	file, err := os.Open(filepath.Join(root, ".github", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf(".github/%s: %v", name, err)
	}
	return v
}

// read returns the text of a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// foldersWith returns the folders that have a file with that name, as "/" or "/folder".
func foldersWith(t *testing.T, name string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == ".cache" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.Name() == name {
			rel, err := filepath.Rel(root, filepath.Dir(file))
			if err != nil {
				return err
			}
			all = append(all, path.Join("/", filepath.ToSlash(rel)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

var (
	goLine     = regexp.MustCompile(`(?m)^go (1\.(\d+))(?:\.\d+)?$`)
	makeTarget = regexp.MustCompile(`\bmake ([a-z-]+)`)
	ciScript   = regexp.MustCompile(`(?:^|\s)(\.ci/[a-z]+)`)
)

// oldestGo returns the minor version that go.mod requires, such as "1.26" and 26.
func oldestGo(t *testing.T) (version string, minor int) {
	t.Helper()
	m := goLine.FindStringSubmatch(read(t, "go.mod"))
	if m == nil {
		t.Fatal("go.mod has no go line")
	}
	if _, err := fmt.Sscan(m[2], &minor); err != nil {
		t.Fatal(err)
	}
	return m[1], minor
}

// TestRepository_Workflows: the workflows call what exists, in bounded time, with read rights
// only, on the releases of Go and Node.js that the repository promises.
func TestRepository_Workflows(t *testing.T) {
	t.Parallel()
	oldest, minor := oldestGo(t)
	makefile := read(t, "Makefile")
	runs := map[string]string{} // command -> workflow
	names, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range names {
		name := "workflows/" + filepath.Base(file)
		w := readYAML[workflow](t, name)
		if w.Name+".yml" != filepath.Base(file) || w.On == nil || len(w.Jobs) == 0 {
			t.Errorf("%s has the name %q, the events %v and %d jobs", name, w.Name, w.On, len(w.Jobs))
		}
		if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
			t.Errorf("%s has the rights %v, want to read the contents only", name, w.Permissions)
		}
		for id, job := range w.Jobs {
			if job.TimeoutMinutes == 0 || job.RunsOn == "" {
				t.Errorf("%s: %s has no timeout-minutes or no runs-on", name, id)
			}
			for _, step := range job.Steps {
				runs[step.Run] = name
				for _, m := range makeTarget.FindAllStringSubmatch(step.Run, -1) {
					if !strings.Contains(makefile, "\n"+m[1]+":") && step.Run[0] == 'm' {
						t.Errorf("%s: %s runs make %s, which the Makefile does not have", name, id, m[1])
					}
				}
				for _, m := range ciScript.FindAllStringSubmatch(step.Run, -1) {
					if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(m[1]))); err != nil || info.Mode()&0o100 == 0 {
						t.Errorf("%s: %s runs %s, which is no program here", name, id, m[1])
					}
				}
				if strings.HasPrefix(step.Uses, "actions/setup-go@") {
					if step.With["go-version-file"] == nil && fmt.Sprint(step.With["go-version"]) != "${{ matrix.go }}" {
						t.Errorf("%s: %s takes another Go than that of go.mod or of the matrix", name, id)
					}
				}
				if node := step.With["node-version"]; node != nil && fmt.Sprint(node) != oldestNode(t) {
					t.Errorf("%s: %s takes Node.js %v, internal/nodetest/package.json asks for %s", name, id, node, oldestNode(t))
				}
				if strings.HasPrefix(step.Uses, "actions/upload-artifact@") && step.If != "failure()" {
					t.Errorf("%s: %s uploads also what passed", name, id)
				}
			}
			if versions := job.Strategy.Matrix["go"]; versions != nil {
				if want := []string{oldest, fmt.Sprintf("1.%d", minor+1)}; !slices.Equal(versions, want) {
					t.Errorf("%s: %s runs on Go %v, want %v: that of go.mod and the next one", name, id, versions, want)
				}
			}
		}
	}
	if m := readYAML[workflow](t, "workflows/test.yml").Jobs["test"].Strategy.Matrix["go"]; len(m) != 2 {
		t.Errorf("the tests run on Go %v, want two releases", m)
	}
	for _, want := range []string{".ci/run", "make lint", "make audit", "make fuzz FUZZTIME=5m", "make interop"} {
		if runs[want] == "" {
			t.Errorf("no workflow runs %q", want)
		}
	}
}

// oldestNode returns the oldest major version of Node.js that the repository's tests support.
func oldestNode(t *testing.T) string {
	t.Helper()
	var p struct{ Engines struct{ Node string } }
	if err := json.Unmarshal([]byte(read(t, "internal/nodetest/package.json")), &p); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(p.Engines.Node, ">=")
}

// TestRepository_Dependabot: every module, every npm package and the actions get updates, in
// groups, and what is held back exists.
func TestRepository_Dependabot(t *testing.T) {
	t.Parallel()
	type ignored struct {
		Name        string   `yaml:"dependency-name"`
		UpdateTypes []string `yaml:"update-types"`
	}
	type update struct {
		Ecosystem   string `yaml:"package-ecosystem"`
		Directory   string
		Directories []string
		Schedule    struct{ Interval, Day string }
		Groups      map[string]struct {
			Patterns    []string
			UpdateTypes []string `yaml:"update-types"`
		}
		Ignore []ignored
	}
	d := readYAML[struct {
		Version int
		Updates []update
	}](t, "dependabot.yml")
	if d.Version != 2 {
		t.Errorf("version %d, want 2", d.Version)
	}
	got := map[string][]string{}
	manifests := read(t, "go.mod") + read(t, "internal/nodetest/package.json")
	for _, u := range d.Updates {
		folders := slices.Clone(u.Directories)
		if u.Directory != "" {
			folders = append(folders, u.Directory)
		}
		slices.Sort(folders)
		got[u.Ecosystem] = folders
		if len(u.Groups) == 0 || u.Schedule.Interval == "" {
			t.Errorf("%s has no groups or no schedule", u.Ecosystem)
		}
		for _, i := range u.Ignore {
			if !strings.Contains(manifests, i.Name) {
				t.Errorf("%s holds back %s, which no manifest names", u.Ecosystem, i.Name)
			}
		}
	}
	for ecosystem, want := range map[string][]string{
		"gomod":          foldersWith(t, "go.mod"),
		"npm":            foldersWith(t, "package.json"),
		"github-actions": {"/"},
	} {
		if !slices.Equal(got[ecosystem], want) {
			t.Errorf("%s: dependabot looks into %v, the repository has %v", ecosystem, got[ecosystem], want)
		}
	}
}

var (
	ownFile    = regexp.MustCompile(`github\.com/fiberbridge/fiberbridge/blob/main/([\w./-]+)(?:#([\w-]+))?`)
	noticeName = regexp.MustCompile(`notice=(\w+)`)
)

// TestRepository_IssueForms: the forms are valid, their links lead to files of the
// repository, and the names of log lines in them exist.
func TestRepository_IssueForms(t *testing.T) {
	t.Parallel()
	type form struct {
		Name, Description string
		Labels            []string
		Body              []struct {
			Type, ID    string
			Attributes  struct{ Label, Description, Placeholder, Render, Value string }
			Validations struct{ Required bool }
		}
	}
	fields := map[string][]string{}
	for _, name := range []string{"bug", "feature", "question"} {
		f := readYAML[form](t, "ISSUE_TEMPLATE/"+name+".yml")
		if f.Name == "" || f.Description == "" || len(f.Labels) == 0 {
			t.Errorf("%s: the form has no name, description or labels: %+v", name, f)
		}
		asked := 0
		for _, b := range f.Body {
			switch b.Type {
			case "markdown":
				if b.Attributes.Value == "" {
					t.Errorf("%s: an empty paragraph", name)
				}
			case "input", "textarea":
				asked++
				if b.ID == "" || b.Attributes.Label == "" || slices.Contains(fields[name], b.ID) {
					t.Errorf("%s: a field without a label, or with no ID of its own: %+v", name, b)
				}
				fields[name] = append(fields[name], b.ID)
			default:
				t.Errorf("%s: a field of the type %q", name, b.Type)
			}
		}
		if asked == 0 {
			t.Errorf("%s asks nothing", name)
		}
	}
	for _, want := range []string{"version", "go", "client", "notice"} {
		if !slices.Contains(fields["bug"], want) {
			t.Errorf("the form for bugs does not ask for the %s", want)
		}
	}
	type config struct {
		BlankIssues  *bool                               `yaml:"blank_issues_enabled"`
		ContactLinks []struct{ Name, URL, About string } `yaml:"contact_links"`
	}
	if c := readYAML[config](t, "ISSUE_TEMPLATE/config.yml"); c.BlankIssues == nil || *c.BlankIssues || len(c.ContactLinks) == 0 {
		t.Errorf("blank issues are allowed, or no link for vulnerabilities: %+v", c)
	}

	files, err := filepath.Glob(filepath.Join(root, ".github", "ISSUE_TEMPLATE", "*"))
	if err != nil {
		t.Fatal(err)
	}
	troubleshooting := read(t, "docs/troubleshooting.md")
	for _, file := range files {
		text := read(t, ".github/ISSUE_TEMPLATE/"+filepath.Base(file))
		for _, m := range ownFile.FindAllStringSubmatch(text, -1) {
			if page := read(t, m[1]); m[2] != "" && !anchors(page)[m[2]] {
				t.Errorf("%s links to %s#%s, and there is no such heading", file, m[1], m[2])
			}
		}
		for _, m := range noticeName.FindAllStringSubmatch(text, -1) {
			if m[1] != "name" && !strings.Contains(troubleshooting, "| `"+m[1]+"` | ") {
				t.Errorf("%s names the notice %s, which does not exist", file, m[1])
			}
		}
	}
	if !strings.Contains(read(t, ".github/ISSUE_TEMPLATE/question.yml"), "blob/main/docs/troubleshooting.md") {
		t.Error("the form for questions does not point to docs/troubleshooting.md")
	}
	for _, want := range []string{"CHANGELOG.md", "make test", "docs/decisions.md"} {
		if !strings.Contains(read(t, ".github/pull_request_template.md"), want) {
			t.Errorf("the template of pull requests does not name %s", want)
		}
	}
}
