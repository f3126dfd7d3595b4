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

// maxHops bounds how often a request follows a moved key.
const maxHops = 5

// router finds the pipe of the node that has a key. On a cluster it does what
// go-redis' cluster client does, but for one thing: it never sends a write again
// whose answer was lost.
type router struct {
	single  *goredis.Client        // else nil
	cluster *goredis.ClusterClient // else nil

	reloading  chan struct{} // a lock that ends with a context; guards reloadedAt
	reloadedAt time.Time

	mu       sync.RWMutex // guards what follows
	pipes    map[*goredis.Client]*pipe
	ended    bool
	retiring sync.WaitGroup
}

func newRouter(client goredis.UniversalClient) *router {
	r := &router{pipes: map[*goredis.Client]*pipe{}, reloading: make(chan struct{}, 1)}
	switch c := client.(type) {
	case *goredis.ClusterClient:
		r.cluster = c
	case *goredis.Client:
		r.single = c
		r.pipes[c] = newPipe(c)
	}
	return r
}

// do sends cmd to the node that has key, and follows the key when it has moved.
func (r *router) do(ctx context.Context, key string, cmd goredis.Cmder) error {
	if r.single != nil {
		err := r.pipes[r.single].do(ctx, cmd, false) // never changes: no lock
		if err == errGone {
			return goredis.ErrClosed
		}
		return err
	}
	node, err := r.master(ctx, key)
	if err != nil {
		return err
	}
	asking := false
	for hop := 0; ; hop++ {
		sent := time.Now()
		p, err := r.pipe(ctx, node)
		if err == nil {
			err = p.do(ctx, cmd, asking)
		}
		if err == nil || hop == maxHops {
			return err
		}
		_, moved := goredis.IsMovedError(err)
		addr, ask := goredis.IsAskError(err)
		switch {
		case moved, errors.Is(err, errGone):
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
			if node = byAddr(masters, addr); node == nil {
				return cmd.Err()
			}
			asking = true
		default:
			if isBroken(err) {
				r.cluster.ReloadState(ctx) // perhaps another node has been promoted
			}
			return err
		}
		cmd.SetErr(nil)
	}
}

// master returns the node that has key, as far as is known. What fails here was
// never sent.
func (r *router) master(ctx context.Context, key string) (*goredis.Client, error) {
	node, err := r.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, &abandoned{cause: err}
	}
	return node, nil
}

// masters asks the cluster for its nodes.
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
		return nil, &abandoned{cause: err}
	}
	return nodes, nil
}

// reload learns where the slots are now, unless that was done since the given
// moment: when a slot moves, many requests hear of it at once.
func (r *router) reload(ctx context.Context, since time.Time) error {
	select {
	case r.reloading <- struct{}{}:
	case <-ctx.Done():
		return &abandoned{cause: ctx.Err()}
	}
	defer func() { <-r.reloading }()
	if r.reloadedAt.After(since) {
		return nil
	}
	_, err := r.masters(ctx) // go-redis asks anew for it
	if err == nil {
		r.reloadedAt = time.Now()
	}
	return err
}

// byAddr finds a node by the address that the cluster uses for it; its host is
// empty when it is the one that was asked.
func byAddr(nodes []*goredis.Client, addr string) *goredis.Client {
	for _, node := range nodes {
		if own := node.Options().Addr; own == addr || strings.HasPrefix(addr, ":") && strings.HasSuffix(own, addr) {
			return node
		}
	}
	return nil
}

// pipe returns the node's pipe, and makes it when the node is new. Then it also
// ends those of nodes that have left the cluster.
func (r *router) pipe(ctx context.Context, node *goredis.Client) (*pipe, error) {
	r.mu.RLock()
	p := r.pipes[node]
	r.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	present, err := r.masters(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return nil, goredis.ErrClosed
	}
	if p = r.pipes[node]; p == nil {
		p = newPipe(node)
		r.pipes[node] = p
	}
	for other, old := range r.pipes {
		if other != node && !slices.Contains(present, other) {
			delete(r.pipes, other)
			r.retiring.Go(old.close) // ends when the node has answered or timed out; close waits
		}
	}
	r.mu.Unlock()
	return p, nil
}

// close ends all pipes and waits for them.
func (r *router) close() {
	r.mu.Lock()
	r.ended = true
	pipes := make([]*pipe, 0, len(r.pipes))
	for _, p := range r.pipes {
		pipes = append(pipes, p)
	}
	r.mu.Unlock()
	for _, p := range pipes {
		p.close()
	}
	r.retiring.Wait()
}
