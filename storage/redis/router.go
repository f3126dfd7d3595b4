package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// maxRedirects bounds how often a request follows MOVED and ASK replies.
const maxRedirects = 5

// router sends a command to the node that serves its key. On a cluster it follows
// redirects as go-redis' cluster client does, except that it never resends a write
// whose reply was lost.
type router struct {
	single  *goredis.Client        // nil on a cluster
	cluster *goredis.ClusterClient // nil on a single server

	reloadLock chan struct{} // a lock that can be waited for with a context; guards reloadedAt
	reloadedAt time.Time

	mu       sync.RWMutex // guards the fields below
	batchers map[*goredis.Client]*batcher
	closed   bool
	retiring sync.WaitGroup // batchers of nodes that have left the cluster
}

func newRouter(client goredis.UniversalClient) *router {
	r := &router{batchers: map[*goredis.Client]*batcher{}, reloadLock: make(chan struct{}, 1)}
	switch c := client.(type) {
	case *goredis.ClusterClient:
		r.cluster = c
	case *goredis.Client:
		r.single = c
		r.batchers[c] = newBatcher(c)
	}
	return r
}

// do sends cmd to the node that serves key, and follows redirects. Write says whether
// the command changes something.
func (r *router) do(ctx context.Context, key string, cmd goredis.Cmder, write bool) error {
	if r.single != nil {
		err := r.batchers[r.single].do(ctx, cmd, write, false) // the map never changes: no lock
		if err == errBatcherClosed {
			return goredis.ErrClosed
		}
		return err
	}
	node, err := r.master(ctx, key)
	if err != nil {
		return err
	}
	asking := false
	for redirects := 0; ; redirects++ {
		sent := time.Now()
		b, err := r.batcher(ctx, node)
		if err == nil {
			err = b.do(ctx, cmd, write, asking)
		}
		if err == nil || redirects == maxRedirects {
			return err
		}
		_, moved := goredis.IsMovedError(err)
		addr, ask := goredis.IsAskError(err)
		switch {
		case moved, errors.Is(err, errBatcherClosed):
			if err := r.reload(ctx, sent); err != nil {
				return err
			}
			if node, err = r.master(ctx, key); err != nil {
				return err
			}
			asking = false
		case ask:
			masters, err := r.masters(ctx)
			if err != nil {
				return err
			}
			if node = nodeByAddr(masters, addr); node == nil {
				return cmd.Err()
			}
			asking = true
		default:
			if isConnectionError(err) || refusalKind(err) != notRefused {
				r.cluster.ReloadState(ctx) // another node may have been promoted
			}
			return err
		}
		cmd.SetErr(nil)
	}
}

// master returns the node that serves key, by the known slot table. If it fails,
// nothing was sent.
func (r *router) master(ctx context.Context, key string) (*goredis.Client, error) {
	node, err := r.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, &abandonedError{cause: err}
	}
	return node, nil
}

// masters returns the current masters of the cluster, or the single server.
func (r *router) masters(ctx context.Context) ([]*goredis.Client, error) {
	if r.single != nil {
		return []*goredis.Client{r.single}, nil
	}
	var mu sync.Mutex
	var nodes []*goredis.Client
	err := r.cluster.ForEachMaster(ctx, func(_ context.Context, node *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, node)
		return nil
	})
	if err != nil {
		return nil, &abandonedError{cause: err}
	}
	return nodes, nil
}

// reload reloads the slot table unless that happened after since: when a slot moves,
// many requests get a MOVED reply at the same time.
func (r *router) reload(ctx context.Context, since time.Time) error {
	select {
	case r.reloadLock <- struct{}{}:
	case <-ctx.Done():
		return &abandonedError{cause: ctx.Err()}
	}
	defer func() { <-r.reloadLock }()
	if r.reloadedAt.After(since) {
		return nil
	}
	_, err := r.masters(ctx) // go-redis reloads the table for it
	if err == nil {
		r.reloadedAt = time.Now()
	}
	return err
}

// nodeByAddr returns the node with the address of a redirect. An empty host in it
// means the host of the node that replied.
func nodeByAddr(nodes []*goredis.Client, addr string) *goredis.Client {
	for _, node := range nodes {
		if own := node.Options().Addr; own == addr || strings.HasPrefix(addr, ":") && strings.HasSuffix(own, addr) {
			return node
		}
	}
	return nil
}

// batcher returns the node's batcher. If the node is new, it creates the batcher and
// closes those of nodes that have left the cluster.
func (r *router) batcher(ctx context.Context, node *goredis.Client) (*batcher, error) {
	r.mu.RLock()
	b := r.batchers[node]
	r.mu.RUnlock()
	if b != nil {
		return b, nil
	}
	present, err := r.masters(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, goredis.ErrClosed
	}
	if b = r.batchers[node]; b == nil {
		b = newBatcher(node)
		r.batchers[node] = b
	}
	for other, old := range r.batchers {
		if other != node && !slices.Contains(present, other) {
			delete(r.batchers, other)
			r.retiring.Go(old.close) // ends when the node has replied or timed out; close waits
		}
	}
	r.mu.Unlock()
	return b, nil
}

// close closes all batchers and waits for them.
func (r *router) close() {
	r.mu.Lock()
	r.closed = true
	batchers := make([]*batcher, 0, len(r.batchers))
	for _, b := range r.batchers {
		batchers = append(batchers, b)
	}
	r.mu.Unlock()
	for _, b := range batchers {
		b.close()
	}
	r.retiring.Wait()
}
