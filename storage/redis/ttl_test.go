package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
)

func TestTTL(t *testing.T) {
	t.Parallel()
	st, err := storage.Open(redistest.Start(t).URL() + "?prefix=p:")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	ctx := context.Background()
	if err := errors.Join(st.Set("permanent", []byte("x"), 0), st.Set("an hour", []byte("x"), time.Hour)); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]storage.TTLReader{"": st.(storage.TTLReader), "p": storage.Prefix(st, "an ").(storage.TTLReader)} {
		key := map[string]string{"": "an hour", "p": "hour"}[name]
		if left, err := s.TTL(ctx, key); err != nil || left > time.Hour || left < 59*time.Minute {
			t.Errorf("TTL(%q) = %v, %v, want just below 1h", key, left, err)
		}
	}
	if left, err := st.(storage.TTLReader).TTL(ctx, "permanent"); left != 0 || err != nil {
		t.Errorf("TTL of a key without expiry = %v, %v, want 0", left, err)
	}
	for _, key := range []string{"", "none"} {
		if _, err := st.(storage.TTLReader).TTL(ctx, key); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("TTL(%q): %v, want ErrNotFound", key, err)
		}
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := st.(storage.TTLReader).TTL(done, "an hour"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("TTL with an ended context: %v, want ErrUnavailable", err)
	}
	plain := storage.Prefix(storage.From(plainBasic{}), "p")
	if _, err := plain.(storage.TTLReader).TTL(ctx, "k"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("TTL on a base without TTLReader: %v, want errors.ErrUnsupported", err)
	}
}

// plainBasic is a fiber.Storage that stores nothing.
type plainBasic struct{}

func (plainBasic) Get(string) ([]byte, error)              { return nil, nil }
func (plainBasic) Set(string, []byte, time.Duration) error { return nil }
func (plainBasic) Delete(string) error                     { return nil }
func (plainBasic) Reset() error                            { return nil }
func (plainBasic) Close() error                            { return nil }
