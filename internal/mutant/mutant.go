// Package mutant takes a guard out of the source and runs tests without it, to show that a test
// notices. The source itself is not changed: the tests are built with the go command's -overlay,
// which reads edited copies in place of files. It is for tests and scripts only.
package mutant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Edit replaces text in one file. It must change something: Old occurs exactly once.
type Edit struct {
	File string // relative to the module's root, with slashes
	Old  string
	New  string
}

// Mutant is the source with one guard taken out.
type Mutant struct {
	Name  string
	Edits []Edit
}

// Verdict is what became of a mutant.
type Verdict uint8

const (
	// Survived means that the tests passed without the guard.
	Survived Verdict = iota + 1
	// Killed means that a test failed.
	Killed
)

// String implements fmt.Stringer.
func (v Verdict) String() string {
	switch v {
	case Survived:
		return "survived"
	case Killed:
		return "killed"
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// Result is the result of Test.
type Result struct {
	Verdict Verdict
	Output  string // of go test: both streams
	Took    time.Duration
}

// ErrBuild means that the edited source or its tests do not compile, so that nothing was tested.
var ErrBuild = errors.New("mutant: the edited source does not build")

// Test runs "go test" with these arguments on the mutant, in the module's root. env is added to
// the environment. It returns an error if an edit does not match exactly once, if the source does
// not build, or if ctx ends first. It is safe for concurrent use.
func (m Mutant) Test(ctx context.Context, root string, env []string, args ...string) (Result, error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return Result{}, fmt.Errorf("mutant %q: %w", m.Name, err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-overlay=" + overlay, "-count=1"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = root, append(os.Environ(), env...), &out, &out
	cmd.WaitDelay = 10 * time.Second // for what a killed go test has left with the output open
	begin := time.Now()
	err = cmd.Run()
	r := Result{Verdict: Survived, Output: out.String(), Took: time.Since(begin)}
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case strings.Contains(r.Output, "[build failed]"), strings.Contains(r.Output, "[setup failed]"):
		return r, fmt.Errorf("%w: mutant %q:\n%s", ErrBuild, m.Name, r.Output)
	case errors.As(err, new(*exec.ExitError)):
		r.Verdict = Killed
	case err != nil:
		return r, err
	}
	return r, nil
}

// Check reports whether each edit matches exactly once. It builds and runs nothing.
func (m Mutant) Check(root string) error {
	if _, err := m.edit(root); err != nil {
		return fmt.Errorf("mutant %q: %w", m.Name, err)
	}
	return nil
}

// overlay writes the edited files and the JSON file that -overlay reads to dir, and returns the
// name of the latter.
func (m Mutant) overlay(root, dir string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	edited, err := m.edit(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range edited {
		replacement := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replacement, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = replacement
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, data, 0o600)
}

// edit returns the edited contents of the files by their names.
func (m Mutant) edit(root string) (map[string]string, error) {
	edited := map[string]string{}
	for _, e := range m.Edits {
		text, ok := edited[e.File]
		if !ok {
			data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.File)))
			if err != nil {
				return nil, err
			}
			text = string(data)
		}
		if n := strings.Count(text, e.Old); n != 1 || e.Old == e.New {
			return nil, fmt.Errorf("%s: the text occurs %d times, want once and a change:\n%s", e.File, n, e.Old)
		}
		edited[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return edited, nil
}
