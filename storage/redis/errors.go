package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/storage"
)

// ErrFlushRefused is the error of Reset for a storage without a prefix: Reset would
// remove the keys of every program that uses the database. Give the storage a
// prefix, or set Config.AllowFlush (allow_flush=true in the URL).
var ErrFlushRefused = errors.New("redis: Reset without a prefix would flush the whole database")

// errBatcherClosed means that a node's batcher ended before the request was sent.
var errBatcherClosed = errors.New("redis: batcher closed")

// errNoReply is the error of a command whose reply has not been read.
var errNoReply = errors.New("redis: no reply")

// abandonedError is the error of a request whose caller stopped waiting. sent is
// false if the server certainly did not receive the request.
type abandonedError struct {
	cause error
	sent  bool
}

func (e *abandonedError) Error() string { return e.cause.Error() }
func (e *abandonedError) Unwrap() error { return e.cause }

// wrap turns an error of go-redis into one of package storage. A failed write is
// ErrUnknownOutcome unless it certainly changed nothing.
func wrap(err error, write bool) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, goredis.ErrClosed) {
		return storage.ErrClosed
	}
	if write && !certainlyUnsent(err) && !isErrorReply(err) {
		return fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, err)
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}

// isErrorReply reports whether err is an error reply of the server. After one,
// nothing was changed: no script of this package writes before a command that the
// server may refuse.
func isErrorReply(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply)
}

// certainlyUnsent reports whether no byte of the request can have been sent.
func certainlyUnsent(err error) bool {
	if abandoned := (*abandonedError)(nil); errors.As(err, &abandoned) {
		return !abandoned.sent
	}
	if dial := (*dialError)(nil); errors.As(err, &dial) {
		return true
	}
	return errors.Is(err, errBatcherClosed) || errors.Is(err, goredis.ErrPoolTimeout) || errors.Is(err, goredis.ErrPoolExhausted)
}

// isConnectionError reports whether err comes from the connection: it is neither an
// error reply nor the end of the caller's context.
func isConnectionError(err error) bool {
	if err == nil {
		return false // before declaring abandoned, which escapes to the heap
	}
	var abandoned *abandonedError
	return !isErrorReply(err) && !errors.As(err, &abandoned) && !errors.Is(err, goredis.ErrClosed)
}

func unavailable(ctx context.Context) error {
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, ctx.Err())
}

// refusal says whether a server refuses a request because it may not be the one to
// send it to.
type refusal uint8

const (
	notRefused refusal = iota
	// refusedForNow means that another server may be the right one by now.
	refusedForNow
	// refusedAsReplica means that this server refuses every write.
	refusedAsReplica
)

// refusalKind classifies a reply. These replies come from a server that is, or may be,
// a demoted master:
//
//   - READONLY: it is a replica.
//   - MASTERDOWN: it is a replica that has lost its master, and may not serve old data.
//   - LOADING: it loads its data, as a demoted master does when it synchronizes with
//     its new master. Scripts get this reply before READONLY. A master that was just
//     started sends it too.
//   - NOREPLICAS: it is a master that reaches too few replicas to accept a write
//     (min-replicas-to-write), as an isolated one does whose successor was elected.
//   - UNBLOCKED: it became a replica while the command was blocked.
//
// Not among them are OOM and MISCONF, which are troubles of the right server, and
// MOVED, ASK, CLUSTERDOWN and TRYAGAIN, which the router of a cluster handles.
func refusalKind(err error) refusal {
	if err == nil || err == goredis.Nil {
		return notRefused // before errors.As, which allocates
	}
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return notRefused
	}
	text := strings.TrimPrefix(reply.Error(), "ERR ") // KVRocks adds it
	switch code, _, _ := strings.Cut(text, " "); code {
	case "READONLY":
		return refusedAsReplica
	case "LOADING", "MASTERDOWN", "NOREPLICAS":
		return refusedForNow
	case "UNBLOCKED":
		if strings.HasPrefix(text, "UNBLOCKED force") { // not by CLIENT UNBLOCK
			return refusedForNow
		}
	case "Error": // Redis before 7: "ERR Error running script (…): …: -READONLY You can't write …"
		if strings.HasPrefix(text, "Error running script") && strings.Contains(text, "-READONLY ") {
			return refusedAsReplica
		}
	}
	return notRefused
}
