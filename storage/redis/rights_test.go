package redis_test

import (
	"context"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// Row 45: the rights in docs/scaling.md are sufficient for the whole suite, with those that it
// adds for Reset.
func TestSuiteWithTheLeastRights(t *testing.T) {
	server := redistest.Start(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	var args []any
	for _, rule := range append(redistest.LeastRights(t, "shop"), "+scan", "+script|load") {
		args = append(args, rule)
	}
	if err := admin.Do(context.Background(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(server.URL(), "redis://", "redis://shop:pw-shop@", 1)
	storagetest.Run(t, opener(url, "shop:"))
}

// A write succeeds even if the user may not publish its change.
func TestWriteWithoutTheRightToPublish(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	if err := admin.Do(t.Context(), "acl", "setuser", "quiet", "on", ">"+secret, "~*", "resetchannels", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	s := open(t, strings.Replace(server.URL(), "redis://", "redis://quiet:"+secret+"@", 1))
	rev, err := s.CompareAndSwap(t.Context(), "k", storage.Absent, []byte("v"), 0)
	if err != nil {
		t.Errorf("CompareAndSwap: %v", err)
	}
	if err := s.CompareAndDelete(t.Context(), "k", rev); err != nil {
		t.Errorf("CompareAndDelete: %v", err)
	}
}
