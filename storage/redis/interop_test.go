package redis_test

import (
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
)

// Other programs can read and write the same keys with plain commands.
func TestPlainCommandsOfOthers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL()+"?prefix=app:")
	other := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer other.Close()
	ctx := t.Context()
	rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("ours"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := other.Get(ctx, "app:k").Val(); got != "ours" {
		t.Errorf("GET returned %q, want ours", got)
	}
	if ttl := other.PTTL(ctx, "app:k").Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("ttl %v, want at most an hour", ttl)
	}
	if err := other.Set(ctx, "app:k", "theirs", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CompareAndSwap(ctx, "k", rev, []byte("x"), 0); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("CompareAndSwap after a plain SET: %v, want ErrConflict", err)
	}
	item, err := s.Load(ctx, "k")
	if err != nil || string(item.Value) != "theirs" {
		t.Fatalf("Load = %q, %v, want theirs", item.Value, err)
	}
	if _, err := s.CompareAndSwap(ctx, "k", item.Revision, []byte("ours again"), 0); err != nil {
		t.Error(err)
	}

	// An empty value counts as absent. A key of another type is an error, and unchanged.
	other.Set(ctx, "app:empty", "", 0)
	if _, err := s.Load(ctx, "empty"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Load of an empty value: %v, want ErrNotFound", err)
	}
	if _, err := s.CompareAndSwap(ctx, "empty", storage.Absent, []byte("v"), 0); err != nil {
		t.Errorf("CompareAndSwap over an empty value: %v", err)
	}
	other.RPush(ctx, "app:list", "a")
	if _, err := s.CompareAndSwap(ctx, "list", storage.Absent, []byte("v"), 0); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("CompareAndSwap over a list: %v, want ErrUnavailable", err)
	}
	if n := other.LLen(ctx, "app:list").Val(); n != 1 {
		t.Error("CompareAndSwap changed the list")
	}
}
