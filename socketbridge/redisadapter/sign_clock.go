package redisadapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// clockInterval is how often Redis's clock is read.
const clockInterval = 10 * time.Second

var errNoClock = errors.New("redisadapter: the clock of Redis is not known yet")

// redisClock is the clock of Redis, by which signatures are dated. All nodes read the same
// one, so neither different clocks of nodes nor a change of a node's clock matter. It is safe
// for concurrent use.
type redisClock struct {
	a     *Adapter
	tried chan struct{} // closed when the first attempt to read it has ended

	mu     sync.Mutex
	readAt time.Time // by the local clock; zero before the first reading
	read   time.Time
}

// now returns the time at Redis. It reports false before the first reading.
func (c *redisClock) now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read.Add(time.Since(c.readAt)), !c.readAt.IsZero() // Since uses the monotonic clock
}

// start reads the clock for the first time. It tries until ctx ends, and reports whether it
// succeeded.
func (c *redisClock) start(ctx context.Context) bool {
	for backoff := minBackoff; ctx.Err() == nil; backoff = min(2*backoff, maxBackoff) {
		ok := c.set(ctx)
		if backoff == minBackoff {
			close(c.tried)
		}
		if ok {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(jittered(backoff)):
		}
	}
	return false
}

// wait waits until the first attempt to read the clock has ended, so that a message is not
// refused because this node has just started. It returns an error if the clock is not known.
func (c *redisClock) wait(ctx context.Context) error {
	select {
	case <-c.tried:
	case <-ctx.Done():
	}
	if _, ok := c.now(); !ok {
		return fmt.Errorf("%w: %w", adapter.ErrUnavailable, errNoClock)
	}
	return nil
}

// run keeps the clock right until ctx ends.
func (c *redisClock) run(ctx context.Context) {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.set(ctx)
		}
	}
}

// set reads the clock, of the same Redis node at every node of this cluster.
func (c *redisClock) set(running context.Context) (ok bool) {
	ctx, cancel := context.WithTimeout(running, c.a.cfg.Timeout)
	defer cancel()
	var client goredis.Cmdable = c.a.client
	if node, err := slotOwner(ctx, c.a.client, c.a.cfg.Key); err == nil {
		client = node
	}
	now, err := client.Time(ctx).Result()
	if err != nil {
		if running.Err() == nil {
			c.a.notices.Report(&clockUnread, "", "error", err)
		}
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.readAt = now, time.Now()
	return true
}
