package guards_test

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/mutant"
)

// guard is a piece of the source whose loss a test must notice.
type guard struct {
	rows  []string // of docs/security.md, and advisories: "31", "CVE-2026-33151"
	name  string   // what the guard does
	pkg   string   // of the test: "./socketbridge/engineio"
	test  string   // the test that fails without the guard: "TestFlood"
	edits []mutant.Edit
}

const root = "../.."

// all are the guards, in the order of docs/security.md.
func all() []guard {
	return slices.Concat(ofPages, ofSessions, ofIDs, ofLoad, ofProtocol, ofNodes, ofFaults, ofInspector, ofAdminUI)
}

// without are the rows that have no guard in the source, with the reason.
var without = map[string]string{}

// R24: each row of docs/security.md has a guard here, and each edit matches the source.
func TestR24_TableOfGuards(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(root + "/docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(string(page), -1) {
		missing[row[1]] = without[row[1]] == ""
	}
	names := map[string]bool{}
	for _, g := range all() {
		if err := (mutant.Mutant{Name: g.name, Edits: g.edits}).Check(root); err != nil {
			t.Error(err)
		}
		if names[g.name] || g.test == "" || g.pkg == "" || len(g.rows) == 0 {
			t.Errorf("%q: the name stands twice, or a field is missing", g.name)
		}
		names[g.name] = true
		for _, row := range g.rows {
			missing[row] = false
		}
	}
	maps.DeleteFunc(missing, func(_ string, m bool) bool { return !m })
	if len(missing) > 0 {
		t.Errorf("rows of docs/security.md without a guard: %v", slices.Sorted(maps.Keys(missing)))
	}
}

// R24: each guard is needed. GUARDS is a pattern for their names, or "." for all.
func TestR24_Guards(t *testing.T) {
	pattern := os.Getenv("GUARDS")
	if pattern == "" {
		t.Skip("GUARDS is not set: make guards runs this test, which builds the source once for each guard")
	}
	only, err := regexp.Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all() {
		if !only.MatchString(g.name) {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			m := mutant.Mutant{Name: g.name, Edits: g.edits}
			// The timeout is longer than a test waits for what does not come (nodetest.Timeout): the
			// test itself says what is missing.
			r, err := m.Test(ctx, root, nil, "-vet=off", "-failfast", "-timeout", "4m", "-run", "^"+g.test+"$", g.pkg)
			switch {
			case err != nil:
				t.Fatal(err)
			case r.Verdict != mutant.Killed, strings.Contains(r.Output, "[no tests to run]"):
				t.Errorf("%s %s passes without it", g.pkg, g.test)
			case strings.Contains(r.Output, "panic: test timed out"):
				t.Errorf("%s %s does not end without it, and names no failure:\n%s", g.pkg, g.test, r.Output)
			case !strings.Contains(r.Output, "--- FAIL: "+g.test) && !strings.Contains(r.Output, "panic: "):
				t.Errorf("%s %s failed in another way:\n%s", g.pkg, g.test, r.Output)
			default:
				t.Logf("rows %s: %s failed after %v", strings.Join(g.rows, ", "), g.test, r.Took.Round(time.Second))
			}
		})
	}
}
