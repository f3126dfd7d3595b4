package doccheck_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	release  = regexp.MustCompile(`(?m)^## (.+)$`)
	dated    = regexp.MustCompile(`^\[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$`)
	category = regexp.MustCompile(`(?m)^### (.+)$`)
)

// TestChangelog: CHANGELOG.md has the form of Keep a Changelog: unreleased changes on top, then
// dated versions from the newest to the oldest, known categories, and a link for each version.
func TestChangelog(t *testing.T) {
	t.Parallel()
	text := read(t, "CHANGELOG.md")
	var versions []string
	for i, m := range release.FindAllStringSubmatch(text, -1) {
		if i == 0 {
			if m[1] != "[Unreleased]" {
				t.Errorf("the first heading is %q, want [Unreleased]", m[1])
			}
			continue
		}
		d := dated.FindStringSubmatch(m[1])
		if d == nil {
			t.Errorf("the heading %q is not [version] - date", m[1])
			continue
		}
		versions = append(versions, d[1])
	}
	if len(versions) == 0 || versions[len(versions)-1] != "0.1.0" {
		t.Errorf("the versions are %v, want the last one to be 0.1.0", versions)
	}
	if !slices.IsSortedFunc(versions, func(a, b string) int { return compareVersions(b, a) }) {
		t.Errorf("the versions %v do not begin with the newest", versions)
	}
	for _, name := range append(versions, "Unreleased") {
		if !strings.Contains(text, "\n["+name+"]: https://github.com/fiberbridge/fiberbridge/") {
			t.Errorf("[%s] has no link at the end of the page", name)
		}
	}
	for _, m := range category.FindAllStringSubmatch(text, -1) {
		if !slices.Contains([]string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}, m[1]) {
			t.Errorf("%q is no category", m[1])
		}
	}
}
