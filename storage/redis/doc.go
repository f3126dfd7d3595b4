// Package redis keeps a storage in Redis (5 or newer; also Valkey and what speaks
// its protocol and runs its scripts), shared by several nodes: one server, one
// behind Sentinels, or a cluster.
//
//	import _ "github.com/fiberbridge/fiberbridge/storage/redis"
//
//	s, err := storage.Open("redis://user:password@localhost:6379/0?prefix=shop:")
//
// or [New] with a [Config]; [ParseURL] has the forms and options of the URL. It
// builds on gofiber's Redis storage and on go-redis.
//
// Four things to know:
//
//   - Every call is one round trip, and the ones that write are scripts: a swap
//     compares, stores and publishes in one step. Concurrent calls share round
//     trips, and a call ends when its context does.
//   - A [storage.Revision] is the SHA-1 of the content, which script and client
//     compute alike, so that a plain GET or SET of the same keys by other programs
//     keeps working and is noticed by the next swap (a plain SET is not told to
//     the watches).
//   - A write is never sent twice. One whose answer was lost returns
//     storage.ErrUnknownOutcome, also when go-redis would have tried again.
//   - The changes of each key have a channel of their own, the key's name +
//     ":changes", so that a node hears of the sessions it has and no others. A
//     [storage.Gap] follows each loss of the connection.
//
// The least rights of an ACL user, for the prefix "shop:":
//
//	ACL SETUSER shop on >password ~shop:* &shop:* +@read +@write +@scripting +@pubsub +ping +time
//
// (on a cluster also +cluster|slots, for a database other than 0 also +select).
// go-redis has a logger of its own, which writes addresses but no secrets; its
// SetLogger changes where to.
//
// Without a prefix Reset refuses to work, since it would remove everybody's keys.
//
// What it cannot promise: that an acknowledged write survives a failover or the
// loss of the server's memory (Redis replicates and, by default, persists after it
// has answered), and that the feed tells of what happened while it was cut off
// other than by its Gap.
package redis
