package measure

import (
	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Parts of Notices.
const (
	PartBridge   = "bridge"
	PartEngine   = "engine"
	PartSessions = "sessions"
)

// Read yields the value of each series of the instruments of Readable. server or store can be
// nil.
func Read(server *socketbridge.Server, store *fibersession.Store, yield func(i *Instrument, v float64, labels ...string)) {
	if server != nil {
		readServer(server.Stats(), yield)
	}
	if store != nil {
		readStore(store.Stats(), yield)
	}
}

func readServer(st socketbridge.Stats, yield func(i *Instrument, v float64, labels ...string)) {
	e := st.Engine
	yield(Connections, float64(max(0, e.Connections-e.WebSockets)), "polling")
	yield(Connections, float64(e.WebSockets), "websocket")
	yield(Sockets, float64(st.Sockets))
	yield(Rooms, float64(st.Rooms))
	yield(Sessions, float64(st.Sessions))
	yield(Users, float64(st.Users))
	yield(Recoverable, float64(st.Recoverable))
	yield(Children, float64(st.Children))
	yield(Backlog, float64(e.Backlog))
	yield(Requests, float64(e.Polls), "GET")
	yield(Requests, float64(e.Posts), "POST")
	yield(BodyBytes, float64(e.BodyBytes))
	yield(Addresses, float64(e.Addresses))
	yield(Waits, float64(e.Waits))
	yield(SlowClosed, float64(e.SlowClosed))
	readNotices(PartBridge, st.Notices, yield)
	readNotices(PartEngine, e.Notices, yield)
}

func readStore(st fibersession.Stats, yield func(i *Instrument, v float64, labels ...string)) {
	yield(StoreSessions, float64(st.States))
	yield(StoreHandles, float64(st.Handles))
	yield(StoreTimers, float64(st.ExpiryTimers))
	yield(StoreTracked, float64(st.Tracked))
	yield(StoreReads, float64(st.Loads))
	yield(StoreDecodes, float64(st.Decodes))
	yield(StoreWrites, float64(st.Writes))
	yield(StoreTouches, float64(st.Touches))
	yield(StoreConflicts, float64(st.Conflicts))
	yield(StoreReruns, float64(st.Reruns))
	yield(StoreFailures, float64(st.Failures))
	yield(StoreHeard, float64(st.Notifications))
	yield(StoreGaps, float64(st.Gaps))
	yield(StoreRereads, float64(st.Rereads))
	yield(StoreSkipped, float64(st.SkippedReads))
	yield(StoreStale, float64(st.StaleReads))
	readNotices(PartSessions, st.Notices, yield)
}

func readNotices(part string, counts map[string]uint64, yield func(i *Instrument, v float64, labels ...string)) {
	for name, n := range counts {
		yield(Notices, float64(n), part, name)
	}
}
