package redisadapter

import "testing"

// Entry IDs and places convert into each other and have the same order. IDs that do not fit
// are refused.
func TestPlaces(t *testing.T) {
	t.Parallel()
	last := uint64(0)
	for _, id := range []string{"0-1", "1-0", "1-1", "1700000000000-0", "1700000000000-4194303", "1700000000001-0", "4398046511103-4194303"} {
		place, ok := parseEntryID(id)
		if !ok || place <= last || formatEntryID(place) != id {
			t.Errorf("%s has the place %d (%v), which is the ID %s; the place before is %d", id, place, ok, formatEntryID(place), last)
		}
		last = place
	}
	for _, id := range []string{"", "-", "1", "1-", "-1", "+1-1", "1-+1", "1-4194304", "4398046511104-0", "1-1-1", "a-1", "1-a", " 1-1"} {
		if place, ok := parseEntryID(id); ok {
			t.Errorf("%q has the place %d, want none", id, place)
		}
	}
}
