package redis

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/storage"
)

// ErrFlushRefused is what Reset returns for a storage without a prefix: it would
// remove the keys of everybody who uses this database. Give the storage a prefix,
// or allow it with Config.AllowFlush (allow_flush=true in the URL).
var ErrFlushRefused = errors.New("redis: Reset without a prefix would flush the whole database")

// errGone says that a node's pipe ended before the request was sent.
var errGone = errors.New("redis: connection pipe ended")

// errUnanswered is what a command has while its answer has not been read.
var errUnanswered = errors.New("redis: no answer")

// abandoned is the answer to a caller whose context ended: sent says whether the
// server may have got the request.
type abandoned struct {
	cause error
	sent  bool
}

func (e *abandoned) Error() string { return e.cause.Error() }
func (e *abandoned) Unwrap() error { return e.cause }

// explain turns what go-redis says into what is then known. Of a write it admits
// that nothing happened only where that is certain.
func explain(err error, write bool) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, goredis.ErrClosed) {
		return storage.ErrClosed
	}
	if write && !surelyUnsent(err) && !isAnswer(err) {
		return fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, err)
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}

// isAnswer reports whether err is the server's own refusal. No script of ours
// writes anything before a command of it that may be refused.
func isAnswer(err error) bool {
	var answer goredis.Error
	return errors.As(err, &answer)
}

// surelyUnsent reports whether no byte of the request can have left.
func surelyUnsent(err error) bool {
	if gaveUp := (*abandoned)(nil); errors.As(err, &gaveUp) {
		return !gaveUp.sent
	}
	if unconnected := (*dialError)(nil); errors.As(err, &unconnected) {
		return true
	}
	return errors.Is(err, errGone) || errors.Is(err, goredis.ErrPoolTimeout) || errors.Is(err, goredis.ErrPoolExhausted)
}

// isBroken reports whether err is about the connection: neither an answer nor
// the end of the caller's context.
func isBroken(err error) bool {
	if err == nil {
		return false // before gaveUp, which goes to the heap
	}
	var gaveUp *abandoned
	return !isAnswer(err) && !errors.As(err, &gaveUp) && !errors.Is(err, goredis.ErrClosed)
}

func unavailable(ctx context.Context) error {
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, ctx.Err())
}
