// Package storage stores bytes under keys. It adds to Fiber's storage what sharing
// a session between HTTP requests, sockets and nodes needs: compare-and-swap, and
// notifications when a watched key changes.
//
//	s, err := storage.Open("redis://:password@localhost:6379/0?prefix=shop:")
//	if err != nil {
//		return err // says what to change; never contains the password
//	}
//	defer s.Close()
//
//	item, err := s.Load(ctx, "counter")
//	if err != nil {
//		return err
//	}
//	_, err = s.CompareAndSwap(ctx, "counter", item.Revision, next(item.Value), time.Hour)
//	if errors.Is(err, storage.ErrConflict) {
//		// another caller wrote first: load again and retry
//	}
//
// The main concepts:
//
//   - A [Storage] is also a fiber.Storage ([Basic]), so one value serves sessions,
//     csrf, limiter and cache. [From] turns any fiber.Storage into a Storage.
//   - A [Revision] identifies the content of one key. It is computed from the
//     content, so a plain Set by other code changes it too.
//   - Errors state what is known: after [ErrConflict] and [ErrUnavailable] nothing
//     was changed, after [ErrUnknownOutcome] a write may or may not have happened.
//
// [Open] selects the driver by the scheme of a URL, as database/sql selects one by
// name. A driver's package registers its schemes when it is imported:
//
//	scheme                            import                                          for
//	memory://                         github.com/fiberbridge/fiberbridge/storage/memory  one process
//	redis:// redis-sentinel://        github.com/fiberbridge/fiberbridge/storage/redis   several nodes
//	redis-cluster:// (rediss… = TLS)
//
// To write a driver, implement Storage, or implement fiber.Storage and pass it to
// From. Package storagetest is the conformance suite that a driver should pass.
//
// The package does not provide transactions over several keys, queries, encryption,
// or guarantees beyond those of the store. Redis, for example, can lose an
// acknowledged write when it fails over or loses its memory, depending on its
// persistence settings.
package storage
