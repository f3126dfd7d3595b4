package doccheck_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBook_StartPage: docs/README.md lists every page of docs/ once, with a line about it, and the
// README of the repository leads to it.
func TestBook_StartPage(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	start := read(t, "docs/README.md")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".md")
		if name == "README" {
			continue
		}
		row := regexp.MustCompile(`(?m)^\| \[` + name + `\]\(` + name + `\.md\) \| .{15,} \|$`)
		if n := len(row.FindAllString(start, -1)); n != 1 {
			t.Errorf("docs/README.md lists %s.md %d times, want once with a line about it", name, n)
		}
	}
	if !strings.Contains(read(t, "README.md"), "(docs/README.md)") {
		t.Error("README.md does not link to docs/README.md")
	}
}

var (
	metricName = regexp.MustCompile(`fiberbridge_[a-z_]+`)
	alertName  = regexp.MustCompile(`Fiberbridge[A-Z]\w+`)
	inTicks    = regexp.MustCompile("`([a-z]+(?:_[a-z]+)+)`")
)

// notNotices are other words with an underscore in docs/limits.md and docs/runbook.md.
var notNotices = map[string]bool{"worker_connections": true, "evicted_keys": true, "connect_error": true}

// TestBook_NamesOfTheRunbook: the notices, codes, metrics and alerts that the pages for operators
// name do exist.
func TestBook_NamesOfTheRunbook(t *testing.T) {
	t.Parallel()
	troubleshooting, metrics := read(t, "docs/troubleshooting.md"), read(t, "docs/metrics.md")
	found := 0
	for _, page := range []string{"docs/runbook.md", "docs/limits.md", "docs/upgrades.md", "docs/sizing.md", "docs/kubernetes.md", "docs/expiry.md", "docs/errors.md"} {
		text := read(t, page)
		for _, m := range inTicks.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(m[1], "fiberbridge_") || notNotices[m[1]] || page == "docs/kubernetes.md" && strings.HasPrefix(m[1], "proxy_") {
				continue
			}
			found++
			if !strings.Contains(troubleshooting, "\n| `"+m[1]+"` |") {
				t.Errorf("%s names %s, which docs/troubleshooting.md does not list", page, m[1])
			}
		}
		for _, name := range metricName.FindAllString(text, -1) {
			if name == "fiberbridge_notices_total" {
				continue
			}
			if base := strings.TrimSuffix(name, "_bucket"); !strings.Contains(metrics, "\n| `"+base+"` |") {
				t.Errorf("%s names the metric %s, which docs/metrics.md does not list", page, name)
			}
		}
		for _, name := range alertName.FindAllString(text, -1) {
			if !strings.Contains(metrics, "\n| `"+name+"` |") {
				t.Errorf("%s names the alert %s, which docs/metrics.md does not list", page, name)
			}
		}
	}
	if found < 50 {
		t.Errorf("found only %d names", found)
	}
}
