package dropin_test

import (
	"cmp"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// variants are the ways in which each pattern is run: how visitors reach it, and the storage of
// both programs.
var variants = []variant{
	{"memory", overHTTP, "default", "default"},
	{"memory-https", overHTTPS, "default", "default"},
	{"memory-proxy", overProxy, "default", "default"},
	{"redis-driver", overHTTP, "driver", "driver"},
	{"redis", overHTTP, "driver", "own"},
}

var update = flag.Bool("update", false, "write testdata/differences.txt")

// Each pattern answers alike on Fiber's middleware and on ours, except where
// testdata/differences.txt says so. The tables of docs/from-fiber.md have the first difference
// of each pattern and the reason, and the cookies.
func TestF2_PatternsAnswerAlike(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED: builds two programs, and -short is set")
	}
	programs := [2]string{build(t, "patterns", nil), build(t, "patterns", swap)}
	found := map[difference][]string{} // the variants that have it
	var order []difference
	sent := map[cookieCase][2]string{}
	for _, v := range variants {
		for pattern, pair := range playAll(t, programs, v) {
			for _, d := range compare(pattern, pair[0].results, pair[1].results) {
				if found[d] == nil {
					order = append(order, d)
				}
				found[d] = append(found[d], v.name)
			}
			if v.fiberStorage == "default" {
				sent[cookieCase{pattern, v.scheme}] = [2]string{allCookies(pair[0]), allCookies(pair[1])}
			}
		}
	}
	slices.SortStableFunc(order, func(a, b difference) int {
		return cmp.Or(strings.Compare(a.pattern, b.pattern), a.index-b.index, strings.Compare(a.ours, b.ours))
	})
	checkDifferences(t, order, found)
	checkPage(t, order, found)
	checkCookies(t, sent)
}

// variant is one way in which the patterns are run.
type variant struct{ name, scheme, fiberStorage, ourStorage string }

// playAll plays all patterns on both programs.
func playAll(t *testing.T, programs [2]string, v variant) map[string][2]*script {
	t.Helper()
	all := map[string][2]*script{}
	args := [2][]string{{"-storage", v.fiberStorage}, {"-storage", v.ourStorage}}
	if v.fiberStorage != "default" {
		for i := range args {
			args[i] = append(args[i], "-redis", redistest.Start(t, "--databases", "512").Addr())
		}
	}
	for _, names := range groups(list(t, programs[0])) {
		var apps [2][]served
		for i := range apps {
			apps[i] = start(t, programs[i], names, args[i]...)
		}
		for i, app := range apps[0] {
			all[app.Name] = [2]*script{play(t, app, v.scheme), play(t, apps[1][i], v.scheme)}
		}
	}
	return all
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

// where returns the variants that have a difference, or "" for all.
func where(have []string) string {
	switch names := strings.Join(have, ", "); {
	case len(have) == len(variants):
		return ""
	case names == "memory-https, memory-proxy":
		return " on TLS"
	case names == "memory, redis-driver, redis":
		return " on http"
	case names == "redis-driver, redis":
		return " with Redis"
	default:
		return " with " + names
	}
}

// checkDifferences compares all differences with testdata/differences.txt.
func checkDifferences(t *testing.T, order []difference, found map[difference][]string) {
	t.Helper()
	const file = "testdata/differences.txt"
	var now []string
	for _, d := range order {
		now = append(now, d.row(where(found[d])))
	}
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, []byte(strings.Join(now, "\n")+"\n"), 0o600))
	}
	text, err := os.ReadFile(file)
	must(t, err)
	listed := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, row := range now {
		if !slices.Contains(listed, row) {
			t.Errorf("not listed in %s:\n%s", file, row)
		}
	}
	for _, row := range listed {
		if !slices.Contains(now, row) {
			t.Errorf("listed in %s, but not seen:\n%s", file, row)
		}
	}
}

// checkPage compares the first difference of each pattern with the page.
func checkPage(t *testing.T, order []difference, found map[difference][]string) {
	t.Helper()
	listed := map[string]bool{}
	for _, row := range rows(t, "pattern") {
		if len(row) != 5 || row[4] == "" {
			t.Errorf("a row has no reason: %s", row)
			continue
		}
		listed["| "+strings.Join(row[:4], " | ")+" |"] = true
	}
	seen := map[string]bool{}
	for _, d := range order {
		pattern := d.pattern + where(found[d])
		if row := d.row(where(found[d])); !seen[d.pattern] && !listed[row] {
			t.Errorf("%s does not list the difference of %s:\n%s", page, pattern, row)
		} else if !seen[d.pattern] {
			delete(listed, row)
		}
		seen[d.pattern] = true
	}
	for row := range listed {
		t.Errorf("%s lists a difference that is not seen:\n%s", page, row)
	}
}

// cookieCase is a pattern, visited in one way.
type cookieCase struct{ pattern, scheme string }

// allCookies returns the session cookies that a program sent, without repetitions.
func allCookies(s *script) string {
	return strings.Join(slices.Compact(slices.Clone(s.cookies)), ", then ")
}

// checkCookies compares the page's table of cookies with those that were sent.
func checkCookies(t *testing.T, sent map[cookieCase][2]string) {
	t.Helper()
	for _, row := range rows(t, "cookie of") {
		if len(row) != 4 {
			t.Errorf("a row has %d cells, want 4: %s", len(row), row)
			continue
		}
		got := sent[cookieCase{strings.Trim(row[0], "`"), row[1]}]
		if want := [2]string{strings.Trim(row[2], "`"), strings.Trim(row[3], "`")}; got != want {
			t.Errorf("%s over %s: the cookies are\n| `%s` | `%s` |\nand the page says\n| `%s` | `%s` |", row[0], row[1], got[0], got[1], want[0], want[1])
		}
	}
}
