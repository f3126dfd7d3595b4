package hooklist_test

import (
	"slices"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/hooklist"
)

func TestList(t *testing.T) {
	t.Parallel()
	var (
		l       hooklist.List[string]
		a, b    = "a", "b"
		changes []int
	)
	changed := func(all []*string) { changes = append(changes, len(all)) }
	if got := l.All(); got != nil {
		t.Errorf("an empty list has %v", got)
	}
	removeA := l.Add(&a, changed)
	before := l.All()
	l.Add(&b, changed)
	removeA()
	removeA()
	if got := l.All(); !slices.Equal(got, []*string{&b}) {
		t.Errorf("the list has %v, want b", got)
	}
	if !slices.Equal(before, []*string{&a}) {
		t.Errorf("an earlier All has changed to %v", before)
	}
	if want := []int{1, 2, 1}; !slices.Equal(changes, want) {
		t.Errorf("changed was called with %v sets, want %v", changes, want)
	}
}
