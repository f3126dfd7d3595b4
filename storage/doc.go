// Package storage keeps bytes under keys, with what sharing a session between
// HTTP requests, sockets and nodes needs beyond Fiber's own storage: a value is
// replaced only if it is still the one that was read, and who watches a key hears
// of its changes.
//
//	s, err := storage.Open("redis://:password@localhost:6379/0?prefix=shop:")
//	if err != nil {
//		return err // says what to change; never carries the password
//	}
//	defer s.Close()
//
//	item, err := s.Load(ctx, "counter")
//	if err != nil {
//		return err
//	}
//	_, err = s.CompareAndSwap(ctx, "counter", item.Revision, next(item.Value), time.Hour)
//	if errors.Is(err, storage.ErrConflict) {
//		// somebody was faster: load again and retry
//	}
//
// Three ideas carry it:
//
//   - A [Storage] is a fiber.Storage too ([Basic]), so one value serves sessions,
//     csrf, limiter and cache; and [From] makes a Storage of any fiber.Storage.
//   - A [Revision] names the content of one key. It is computed from the content,
//     so a plain Set by somebody else changes it as well.
//   - Errors say what is known: [ErrConflict] and [ErrUnavailable] mean that
//     nothing was changed, [ErrUnknownOutcome] that a write may have happened.
//
// Open finds a storage by the scheme of a URL, as database/sql finds a driver: a
// driver's package registers its schemes when it is imported.
//
//	scheme                            import                                          for
//	memory://                         github.com/fiberbridge/fiberbridge/storage/memory  one process
//	redis:// redis-sentinel://        github.com/fiberbridge/fiberbridge/storage/redis   several nodes
//	redis-cluster:// (rediss… = TLS)
//
// A driver of your own is a type with the methods of Storage, or a fiber.Storage given
// to From; package storagetest holds the tests that it should pass.
//
// What it does not do: transactions over several keys, queries, encryption, and
// guarantees beyond those of the store (an acknowledged write on Redis can be lost
// when the server loses its memory or fails over, as its persistence is set).
package storage
