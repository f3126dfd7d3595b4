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

// gatedStorage is a storage whose calls block, while on is set, until the test closes the
// gate of their method.
type gatedStorage struct {
	storage.Storage
	load, swap, remove chan struct{} // nil: that method never blocks
	on                 atomic.Bool
	notify             atomic.Pointer[chan struct{}]
}

// nextBlocked returns a channel that is closed when the next call blocks.
func (g *gatedStorage) nextBlocked() <-chan struct{} {
	ch := make(chan struct{})
	g.notify.Store(&ch)
	return ch
}

func (g *gatedStorage) wait(gate chan struct{}) {
	if gate == nil || !g.on.Load() {
		return
	}
	if ch := g.notify.Swap(nil); ch != nil {
		close(*ch)
	}
	<-gate
}

func (g *gatedStorage) Load(ctx context.Context, key string) (storage.Item, error) {
	g.wait(g.load)
	return g.Storage.Load(ctx, key)
}

func (g *gatedStorage) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	g.wait(g.swap)
	return g.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}

func (g *gatedStorage) CompareAndDelete(ctx context.Context, key string, old storage.Revision) error {
	g.wait(g.remove)
	return g.Storage.CompareAndDelete(ctx, key, old)
}

// badIDs returns strings that are not valid session IDs. Most are small changes of id.
func badIDs(id string) []string {
	return []string{
		"", "a", id[:42], id + "a", id + "=", id[:42] + "/", id[:42] + "+", id[:42] + "\x00", id[:42] + " ",
		id[:41] + "é", strings.Repeat(".", 43), "../../../../../../../../../../../etc/passwdxx", "fiberbridge:s:" + id,
		strings.Repeat("a", 1<<20), id[:42] + "\n", "*", "?", id[:20] + "%2F" + id[23:], id[:42] + "\u212a"[:1],
	}
}

type fasthttpCtx = fasthttp.RequestCtx

// recordingStorage records all keys and values that are written.
type recordingStorage struct {
	storage.Storage
	all bytes.Buffer
}

func (r *recordingStorage) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	r.all.WriteString(key)
	r.all.Write(val)
	return r.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}

// noIndex hides all optional interfaces of a storage, storage.Index among them.
type noIndex struct{ storage.Storage }

var errBroken = errors.New("broken")

// hookedStorage calls its functions before a call of the storage.
type hookedStorage struct {
	storage.Storage
	beforeLoad func(key string)
	beforeSwap func(key string, old storage.Revision)
}

func (h *hookedStorage) Load(ctx context.Context, key string) (storage.Item, error) {
	h.beforeLoad(key)
	return h.Storage.Load(ctx, key)
}

func (h *hookedStorage) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	h.beforeSwap(key, old)
	return h.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}
