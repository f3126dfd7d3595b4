package doccheck_test

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestProseFitsAScreen: lines of prose have at most 120 characters. Tables and code are
// exempt, and so is a line that is one long link.
func TestProseFitsAScreen(t *testing.T) {
	t.Parallel()
	for _, page := range pageNames(t) {
		code := false
		n := 0
		for line := range strings.Lines(read(t, page)) {
			n++
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			if code || strings.HasPrefix(strings.TrimSpace(line), "|") || !strings.Contains(strings.TrimSpace(line), " ") {
				continue
			}
			if length := utf8.RuneCountInString(line); length > 120 {
				t.Errorf("%s:%d has %d characters", page, n, length)
			}
		}
	}
}
