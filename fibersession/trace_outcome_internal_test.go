package fibersession

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// N9: each outcome of an operation has its word, which docs/metrics.md lists.
func TestN9_SessionOutcomeWords(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "ok"},
		{&storageError{kind: ErrUnavailable, err: errors.New("at redis:6379")}, "session_unavailable"},
		{ErrUnknownOutcome, "unknown_outcome"},
		{fmt.Errorf("later: %w", ErrExpired), "session_gone"},
		{ErrTooManyKeys, "session_too_large"},
		{ErrNotFound, "not_found"},
		{errors.New("of the app's Update"), "error"},
	} {
		if got := new(Operation).Outcome(tt.err); got != tt.want {
			t.Errorf("the outcome of %v is %q, want %q", tt.err, got, tt.want)
		}
		if !strings.Contains(string(page), "`"+tt.want+"`") {
			t.Errorf("docs/metrics.md does not have the outcome %s", tt.want)
		}
	}
}
