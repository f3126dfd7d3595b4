// Package emitter sends events to the sockets of a cluster from a process that serves none, such
// as a job, a cron task or a worker. It is the counterpart of @socket.io/redis-emitter, with
// users and sessions.
//
//	store := storage.MustOpen(os.Getenv("STORAGE")) // the same as the servers'
//	out := emitter.New(emitter.Config{
//		Adapter:  redisadapter.For(store),
//		Sessions: fibersession.New(fibersession.Config{Storage: store, UserKey: "user"}),
//	})
//	defer out.Close(context.Background())
//	err := out.ToUser("ann").Emit("report", "ready")
//
// Adapter and Sessions need the settings of the servers: the mode, the key and the secrets of the
// adapter, the storage and the prefix of the sessions.
//
// An Emitter is not a node: servers of this module and of Node do not count it, their requests
// and acknowledgements do not wait for it, and presence does not know it. It can ask the nodes
// (FetchSockets, EmitWithAck, ServerSideEmitWithAck) and list the users online (OnlineUsers).
//
// The values that To, ToUser and the like return are those of package socketbridge. An Emitter
// has no sockets of its own, so Broadcast.Local addresses none, and Broadcast.Sockets returns
// none.
package emitter
