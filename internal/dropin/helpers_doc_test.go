package dropin_test

import (
	"os"
	"strings"
	"testing"
)

// page is what tells users of Fiber what changes for them.
const page = "../../docs/from-fiber.md"

// rows returns the rows of the page's tables whose first header cell is name.
func rows(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile(page)
	must(t, err)
	var all [][]string
	in := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			in = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case in && !strings.HasPrefix(cells[0], "---"):
			all = append(all, cells)
		case cells[0] == name:
			in = true
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no table %q", page, name)
	}
	return all
}

// fiberTestsOfDoc returns the tests of Fiber that the page lists, as "fails" or "not run".
func fiberTestsOfDoc(t *testing.T) map[string]string {
	t.Helper()
	listed := map[string]string{}
	for _, row := range rows(t, "Fiber's test") {
		listed[strings.Trim(row[0], "`")] = row[1]
	}
	return listed
}
