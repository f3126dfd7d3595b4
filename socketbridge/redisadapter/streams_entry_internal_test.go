package redisadapter

import "testing"

// Entry IDs and positions convert into each other and have the same order. IDs that do not fit
// are refused.
func TestEntryIDs(t *testing.T) {
	t.Parallel()
	last := uint64(0)
	for _, id := range []string{"0-1", "1-0", "1-1", "1700000000000-0", "1700000000000-4194303", "1700000000001-0", "4398046511103-4194303"} {
		position, ok := parseEntryID(id)
		if !ok || position <= last || formatEntryID(position) != id {
			t.Errorf("%s has the position %d (%v), which is the ID %s; the position before is %d", id, position, ok, formatEntryID(position), last)
		}
		last = position
	}
	for _, id := range []string{"", "-", "1", "1-", "-1", "+1-1", "1-+1", "1-4194304", "4398046511104-0", "1-1-1", "a-1", "1-a", " 1-1"} {
		if position, ok := parseEntryID(id); ok {
			t.Errorf("%q has the position %d, want none", id, position)
		}
	}
}
