package fibersession_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/storage"
)

// gated is a storage whose calls wait at a gate while it is on. The gates are
// closed by the test.
type gated struct {
	storage.Storage
	load, swap, remove chan struct{} // nil: none
	on                 atomic.Bool
	seen               atomic.Pointer[chan struct{}]
}

// waiting returns a channel that is closed when the next call waits at a gate.
func (g *gated) waiting() <-chan struct{} {
	ch := make(chan struct{})
	g.seen.Store(&ch)
	return ch
}

func (g *gated) wait(gate chan struct{}) {
	if gate == nil || !g.on.Load() {
		return
	}
	if ch := g.seen.Swap(nil); ch != nil {
		close(*ch)
	}
	<-gate
}

func (g *gated) Load(ctx context.Context, key string) (storage.Item, error) {
	g.wait(g.load)
	return g.Storage.Load(ctx, key)
}

func (g *gated) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	g.wait(g.swap)
	return g.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}

func (g *gated) CompareAndDelete(ctx context.Context, key string, old storage.Revision) error {
	g.wait(g.remove)
	return g.Storage.CompareAndDelete(ctx, key, old)
}

// badIDs are strings that are not IDs, though some look like one that is.
func badIDs(id string) []string {
	return []string{
		"", "a", id[:42], id + "a", id + "=", id[:42] + "/", id[:42] + "+", id[:42] + "\x00", id[:42] + " ",
		id[:41] + "é", strings.Repeat(".", 43), "../../../../../../../../../../../etc/passwdxx", "fiberbridge:s:" + id,
		strings.Repeat("a", 1<<20), id[:42] + "\n", "*", "?", id[:20] + "%2F" + id[23:], id[:42] + "\u212a"[:1],
	}
}

type fasthttpCtx = fasthttp.RequestCtx

// recording remembers all keys and values that pass.
type recording struct {
	storage.Storage
	all bytes.Buffer
}

func (r *recording) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	r.all.WriteString(key)
	r.all.Write(val)
	return r.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}

// noIndex hides what else a storage can.
type noIndex struct{ storage.Storage }

var errBroken = errors.New("broken")
