// Package redis is a storage in Redis, shared by several nodes. It supports a single
// server, a server behind Sentinels, and a Redis Cluster. It needs Redis 5 or newer,
// or a compatible server with Lua scripts, such as Valkey.
//
//	import _ "github.com/fiberbridge/fiberbridge/storage/redis"
//
//	s, err := storage.Open("redis://user:password@localhost:6379/0?prefix=shop:")
//	s, err := storage.Open("unix:///run/redis.sock?db=1&prefix=shop:")
//	s, err := storage.Open("rediss://shop:password@db:6379/0?tls_ca_file=/etc/redis/ca.pem")
//
// or [New] with a [Config]. [ParseURL] documents the forms and options of the URL.
// The package builds on gofiber's Redis storage and on go-redis.
//
// How it works:
//
//   - Every call is one round trip. Writes are Lua scripts: a swap compares, stores
//     and publishes atomically. Concurrent calls share round trips, and a call ends
//     when its context does.
//   - A [storage.Revision] is the SHA-1 of the content, which scripts and client
//     compute alike. So other programs can GET and SET the same keys, and the next
//     swap notices their writes. (A plain SET does not notify the watches.)
//   - A write is never sent twice. If its reply is lost, it returns
//     storage.ErrUnknownOutcome, even where go-redis would retry.
//   - Each key has its own channel for changes, the key's name + ":changes", so that
//     a node receives only the changes of the keys it watches. A [storage.Gap]
//     follows each loss of the connection.
//   - When a server refuses requests because it is, or may be, a demoted master, all
//     connections to it are replaced, also those of Conn, and the watches report a
//     Gap. While it goes on refusing, writes fail without being sent, for pauses of
//     up to 1 s.
//
// The minimal rights of an ACL user, for the prefix "shop:":
//
//	ACL SETUSER shop reset on >password ~shop:* &shop:* +ping +time +get +set +del +strlen
//	  +persist +pexpire +pexpireat +pttl +zadd +zrem +zrange +zscan +zremrangebyscore
//	  +eval +evalsha +publish +subscribe +unsubscribe
//
// Reset also needs +scan and +script|load. docs/scaling.md has those of the adapter, of a
// cluster and of other databases.
// go-redis has its own logger, which logs addresses but no secrets; go-redis'
// SetLogger redirects it.
//
// Without a prefix, Reset returns [ErrFlushRefused], because it would remove the keys
// of every program that uses the database.
//
// Two limits: an acknowledged write can be lost in a failover, or when the server
// loses its memory, because Redis replicates and (by default) persists after it has
// replied; and a feed cannot report the changes it missed while it was disconnected,
// only the Gap.
package redis
