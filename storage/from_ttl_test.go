package storage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// ttlSpy records the ttl that a driver gets.
type ttlSpy struct {
	unlisted
	got time.Duration
}

func (s *ttlSpy) Set(key string, val []byte, exp time.Duration) error {
	s.got = exp
	return s.unlisted.Set(key, val, exp)
}

// A driver never gets a ttl that it could cut short; see TestF7_RoundUp.
func TestF7_FromRoundsEveryTTLUp(t *testing.T) {
	t.Parallel()
	spy := &ttlSpy{unlisted: unlisted{&naive{}}}
	s := open(t, spy)
	for name, write := range map[string]func(ttl time.Duration) error{
		"Set": func(ttl time.Duration) error { return s.Set("k", []byte("v"), ttl) },
		"CompareAndSwap": func(ttl time.Duration) error {
			item, err := s.Load(t.Context(), "k")
			if err == nil || errors.Is(err, storage.ErrNotFound) {
				_, err = s.CompareAndSwap(t.Context(), "k", item.Revision, []byte("v"), ttl)
			}
			return err
		},
		"Touch":     func(ttl time.Duration) error { put(t, s, "k"); return s.Touch(t.Context(), "k", ttl) },
		"AddMember": func(ttl time.Duration) error { return s.(storage.Index).AddMember(t.Context(), "set", "m", ttl) },
	} {
		if err := write(300 * time.Millisecond); err != nil || spy.got != 2*time.Second {
			t.Errorf("%s: the driver got the ttl %v, %v, want 2s", name, spy.got, err)
		}
		if err := write(0); err != nil || spy.got != 0 {
			t.Errorf("%s: the driver got the ttl %v, %v, want 0", name, spy.got, err)
		}
	}
}
