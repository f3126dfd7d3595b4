package dropin_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// variants are the ways in which each pattern is run: how visitors reach it, and the storage of
// both programs.
var variants = []struct{ name, scheme, fiberStorage, ourStorage string }{
	{"memory", overHTTP, "default", "default"},
	{"memory-https", overHTTPS, "default", "default"},
	{"memory-proxy", overProxy, "default", "default"},
	{"redis-driver", overHTTP, "driver", "driver"},
	{"redis", overHTTP, "driver", "own"},
}

// Each pattern answers alike on Fiber's middleware and on ours, except where the table of
// docs/from-fiber.md says so.
func TestF2_PatternsAnswerAlike(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED: builds two programs, and -short is set")
	}
	without := strings.Split(os.Getenv("DROPIN_WITHOUT"), ",")
	fiber := build(t, "patterns", func(name, source string) string {
		if slices.Contains(without, name) {
			return "package main\n"
		}
		return source
	})
	ours := build(t, "patterns", func(name, source string) string {
		if slices.Contains(without, name) {
			return "package main\n"
		}
		return swap(name, source)
	})
	found := map[difference][]string{} // the variants that have it
	var order []difference
	for _, v := range variants {
		fiberArgs, ourArgs := []string{"-storage", v.fiberStorage}, []string{"-storage", v.ourStorage}
		if v.fiberStorage != "default" {
			fiberArgs = append(fiberArgs, "-redis", redistest.Start(t, "--databases", "512").Addr())
			ourArgs = append(ourArgs, "-redis", redistest.Start(t, "--databases", "512").Addr())
		}
		for _, names := range groups(list(t, fiber)) {
			a, b := start(t, fiber, names, fiberArgs...), start(t, ours, names, ourArgs...)
			for i := range a {
				f, o := play(t, a[i], v.scheme), play(t, b[i], v.scheme)
				for _, d := range compare(a[i].Name, f.results, o.results) {
					if found[d] == nil {
						order = append(order, d)
					}
					found[d] = append(found[d], v.name)
				}
			}
		}
	}
	slices.SortStableFunc(order, func(a, b difference) int { return strings.Compare(a.pattern, b.pattern) })
	var report strings.Builder
	for _, d := range order {
		where := ""
		if len(found[d]) < len(variants) {
			where = " (" + strings.Join(found[d], ", ") + ")"
		}
		report.WriteString(d.row(where) + "\n")
	}
	must(t, os.WriteFile("/tmp/patterns-differences.txt", []byte(report.String()), 0o600))
}

// groups returns the patterns that one process serves.
func groups(all []served) [][]string {
	var together []string
	var result [][]string
	for _, p := range all {
		if p.Alone {
			result = append(result, []string{p.Name})
		} else {
			together = append(together, p.Name)
		}
	}
	return append(result, together)
}
