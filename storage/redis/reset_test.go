package redis_test

import (
	"errors"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

func TestN15_ResetClearsItsPrefixAlone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	plain := open(t, server.URL())
	app := open(t, server.URL()+"?prefix=app:")
	for _, s := range []storage.Storage{plain, app} {
		if err := s.Set("k", []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := plain.Reset(); !errors.Is(err, redis.ErrFlushRefused) {
		t.Errorf("Reset without a prefix: %v, want ErrFlushRefused", err)
	}
	if err := app.Reset(); err != nil {
		t.Error(err)
	}
	if val, _ := app.Get("k"); val != nil {
		t.Error("Reset did not remove the key with its prefix")
	}
	if val, _ := plain.Get("k"); val == nil {
		t.Error("Reset removed a key without its prefix")
	}
	flusher := open(t, server.URL()+"?allow_flush=true")
	if err := flusher.Reset(); err != nil {
		t.Error(err)
	}
	if val, _ := plain.Get("k"); val != nil {
		t.Error("Reset with allow_flush did not remove the key")
	}
}
