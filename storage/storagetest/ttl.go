package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// TestTTL tests storage.TTLReader.
func TestTTL(t *testing.T, open Open) {
	if !readsTTL(t.Context(), open(t)) {
		skip(t, "storage.TTLReader", "a session whose expiry another program moves would be noticed")
	}
	runCases(t, open, []testCase{
		{"the time until a key expires", func(ctx context.Context, t *testing.T, s storage.Storage) {
			r := s.(storage.TTLReader)
			for _, ttl := range []time.Duration{0, time.Hour, 100 * 365 * 24 * time.Hour, time.Hour} {
				if err := s.Set("k", []byte("v"), ttl); err != nil {
					t.Fatal(err)
				}
				got, err := r.TTL(ctx, "k")
				// The clock may be coarse, and the test may be slow.
				if err != nil || got > ttl+5*time.Second || got < ttl-testTimeout || (ttl == 0) != (got == 0) {
					t.Errorf("TTL = %v, %v, want %v", got, err, ttl)
				}
			}
			if err := s.Touch(ctx, "k", 0); err != nil {
				t.Fatal(err)
			}
			if got, err := r.TTL(ctx, "k"); got != 0 || err != nil {
				t.Errorf("TTL after a Touch with 0 = %v, %v, want 0", got, err)
			}
		}, ""},
		{"an absent key", func(ctx context.Context, t *testing.T, s storage.Storage) {
			r := s.(storage.TTLReader)
			if got, err := r.TTL(ctx, "k"); got != 0 || !is(err, storage.ErrNotFound) {
				t.Errorf("TTL of an absent key = %v, %v, want ErrNotFound", got, err)
			}
			if got, err := r.TTL(ctx, ""); got != 0 || !is(err, storage.ErrNotFound) {
				t.Errorf("TTL of an empty key = %v, %v, want ErrNotFound", got, err)
			}
		}, ""},
	})
}

// readsTTL reports whether s implements TTLReader.
func readsTTL(ctx context.Context, s storage.Storage) bool {
	r, ok := s.(storage.TTLReader)
	if !ok {
		return false
	}
	_, err := r.TTL(ctx, "k")
	return !is(err, errors.ErrUnsupported)
}
