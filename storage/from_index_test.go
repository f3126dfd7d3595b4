package storage

import (
	"maps"
	"testing"
	"time"
)

func TestMembersRoundTrip(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]members{
		"one":      {"a": 0},
		"several":  {"a": 0, "b": 1, "\x00\xff": 1 << 60},
		"the name": {membersMagic: 7},
	} {
		got, err := decodeMembers(m.encode())
		if err != nil || !maps.Equal(got, m) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, m)
		}
	}
}

func TestMembersPrune(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1000)
	tests := []struct {
		name string
		m    members
		ttl  time.Duration
		left int
	}{
		{"none", members{}, 0, 0},
		{"all expired", members{"a": 999, "b": 1000}, 0, 0},
		{"the last expiry counts", members{"a": 999, "b": 1500, "c": 3000}, 2 * time.Second, 2},
		{"one without expiry", members{"a": 0, "b": 3000}, 0, 2},
	}
	for _, tt := range tests {
		ttl := tt.m.prune(now)
		if len(tt.m) != tt.left || (tt.left > 0 && ttl != tt.ttl) {
			t.Errorf("%s: ttl %v, %d left, want %v, %d", tt.name, ttl, len(tt.m), tt.ttl, tt.left)
		}
	}
}

func FuzzDecodeMembers(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(membersMagic))
	f.Add(members{"member": 12345}.encode())
	f.Add([]byte(membersMagic + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"))
	f.Add([]byte(membersMagic + "\x05abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMembers(b)
		if err != nil {
			return
		}
		again, err := decodeMembers(m.encode())
		if err != nil || !maps.Equal(again, m) {
			t.Errorf("%v became %v, %v", m, again, err)
		}
	})
}
