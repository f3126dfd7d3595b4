package storage

import (
	"context"
	"time"
)

// Lifetime is the optional ability to tell how long a key has left, beside those that
// Storage names: for values whose end another program moves.
type Lifetime interface {
	// TTL returns for how long key is kept yet, 0 when it does not expire, and
	// ErrNotFound when it is not there.
	TTL(ctx context.Context, key string) (time.Duration, error)
}
