package guards_test

import "github.com/fiberbridge/fiberbridge/internal/mutant"

// ofFaults are the guards of docs/security.md, rows 46 to 52, and the bounds of
// docs/reliability.md that no other row has.
var ofFaults = []guard{
	{
		rows: []string{"46", "D13"}, name: "a handler's panic is contained",
		pkg: "./socketbridge", test: "TestD13_Panics",
		edits: []mutant.Edit{{File: "socketbridge/dispatch.go", Old: "s.reportHandlerPanic(p, recover())", New: "s.reportHandlerPanic(p, nil)"}},
	},
	{
		rows: []string{"46"}, name: "a panic is answered with internal error",
		pkg: "./socketbridge", test: "TestD13_Panics",
		edits: []mutant.Edit{{File: "socketbridge/dispatch.go", Old: "\t\t\terr = errPanic\n", New: "\t\t\terr = nil\n"}},
	},
	{
		rows: []string{"46"}, name: "a callback's panic is contained",
		pkg: "./socketbridge", test: "TestR19_MisbehavingCallbacks",
		edits: []mutant.Edit{{File: "socketbridge/panics.go", Old: "s.reportPanic(what, name, about, recover())", New: "s.reportPanic(what, name, about, nil)"}},
	},
	{
		rows: []string{"46"}, name: "a callback has a goroutine of its own",
		pkg: "./socketbridge", test: "TestR19_EndedGoroutines",
		edits: []mutant.Edit{{File: "socketbridge/panics.go", Old: "\tgo func() { // received below\n", New: "\tfunc() {\n"}},
	},
	{
		rows: []string{"46"}, name: "a worker that a handler ended is replaced",
		pkg: "./socketbridge", test: "TestR19_EndedGoroutines",
		edits: []mutant.Edit{{File: "socketbridge/inbox.go", Old: "\t\tif !returned {\n\t\t\tgo b.work(done)\n", New: "\t\tif !returned {\n\t\t\tb.socket.server().running.Done()\n"}},
	},
	{
		rows: []string{"46"}, name: "a panic of Watch is contained",
		pkg: "./fibersession", test: "TestR19_Watch",
		edits: []mutant.Edit{{File: "fibersession/state_watch.go", Old: `s.reportPanic("Handle.Watch", recover())`, New: `s.reportPanic("Handle.Watch", nil)`}},
	},
	{
		rows: []string{"46"}, name: "after the end of a goroutine in Watch the others get the event",
		pkg: "./fibersession", test: "TestR19_Watch",
		edits: []mutant.Edit{{File: "fibersession/state_watch.go", Old: "\t\tcase !complete: // a function ended this goroutine: the other ones still get the event\n\t\t\ts.notify()\n", New: "\t\tcase !complete:\n"}},
	},
	{
		rows: []string{"46"}, name: "a worker of the tracker that Watch ended is replaced",
		pkg: "./fibersession", test: "TestR19_Watch",
		edits: []mutant.Edit{{File: "fibersession/track.go", Old: "\t\t\tt.goroutines.Go(t.worker)\n\t\t}\n\t}()", New: "\t\t}\n\t}()"}},
	},
	{
		rows: []string{"46"}, name: "a storage's panic is contained",
		pkg: "./fibersession", test: "TestStore_Panics",
		edits: []mutant.Edit{{File: "fibersession/state_commit.go", Old: "if p := recover(); p != nil {", New: "if p := any(nil); p != nil {"}},
	},
	{
		rows: []string{"46"}, name: "a panic of a storage's feed is contained",
		pkg: "./fibersession", test: "TestR19_StorageAndCodec",
		edits: []mutant.Edit{{File: "fibersession/track.go", Old: `t.store.reportPanic("storage.Feed", recover())`, New: `t.store.reportPanic("storage.Feed", nil)`}},
	},
	{
		rows: []string{"46"}, name: "a codec's panic is contained",
		pkg: "./fibersession", test: "TestCodec_Panics",
		edits: []mutant.Edit{{File: "fibersession/internal/codec/codec.go", Old: "if p := recover(); p != nil {", New: "if p := any(nil); p != nil {"}},
	},
	{
		rows: []string{"46"}, name: "a fiber.Storage's panic is contained",
		pkg: "./storage", test: "TestD8_BackendErrorsReleaseTheKey",
		edits: []mutant.Edit{{File: "storage/from_call.go", Old: "if p := recover(); p != nil {\n\t\t\terr = fmt.Errorf(\"backend", New: "if p := any(nil); p != nil {\n\t\t\terr = fmt.Errorf(\"backend"}},
	},
	{
		rows: []string{"46"}, name: "a driver's panic in Open is contained",
		pkg: "./storage", test: "TestOpen",
		edits: []mutant.Edit{{File: "storage/open.go", Old: "if p := recover(); p != nil {", New: "if p := any(nil); p != nil {"}},
	},
	{
		rows: []string{"46"}, name: "a panic of Update frees the session",
		pkg: "./fibersession", test: "TestR19_Update",
		edits: []mutant.Edit{{File: "fibersession/state_update.go", Old: "\tdefer s.endUpdate(tx)\n\terr = s.run(tx, fn)\n", New: "\terr = s.run(tx, fn)\n\tdefer s.endUpdate(tx)\n"}},
	},
	{
		rows: []string{"46"}, name: "a receiver's panic ends its connection",
		pkg: "./socketbridge/engineio", test: "TestPanicsInTheCore",
		edits: []mutant.Edit{{File: "socketbridge/engineio/conn.go", Old: "if v := recover(); v != nil {\n\t\t\t*panicked", New: "if v := any(nil); v != nil {\n\t\t\t*panicked"}},
	},
	{
		rows: []string{"46"}, name: "a panic of AllowOriginFunc refuses the request",
		pkg: "./socketbridge/engineio", test: "TestB9_AllowOriginFunc",
		edits: []mutant.Edit{{File: "socketbridge/engineio/origin.go", Old: "if v := recover(); v != nil {", New: "if v := any(nil); v != nil {"}},
	},
	{
		rows: []string{"46"}, name: "a panic of OnRefused is contained",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Requests",
		edits: []mutant.Edit{{File: "socketbridge/engineio/refusal.go", Old: "if v := recover(); v != nil {", New: "if v := any(nil); v != nil {"}},
	},
	{
		rows: []string{"46"}, name: "a panic of the Logger costs its line",
		pkg: "./internal/notice", test: "TestR19_ALoggerThatPanics",
		edits: []mutant.Edit{{File: "internal/notice/notice.go", Old: "p := recover() // nil", New: "p := any(nil) // nil"}},
	},
	{
		rows: []string{"46"}, name: "the Logger has a goroutine of its own",
		pkg: "./internal/notice", test: "TestR19_ALoggerThatPanics",
		edits: []mutant.Edit{{File: "internal/notice/notice.go", Old: "\tgo func() { // received below\n", New: "\tfunc() {\n"}},
	},
	{
		rows: []string{"46"}, name: "a panic of an error's text is contained",
		pkg: "./internal/notice", test: "TestReport_BoundsALine",
		edits: []mutant.Edit{{File: "internal/notice/notice.go", Old: "\tdefer func() { _ = recover() }()\n", New: ""}},
	},
	{
		rows: []string{"46", "D13"}, name: "a listener's panic is contained by contribws.Guard",
		pkg: "./socketbridge/contribws", test: "TestE4_PanicsOfListeners",
		edits: []mutant.Edit{{File: "socketbridge/contribws/guard.go", Old: "if v := recover(); v != nil {", New: "if v := any(nil); v != nil {"}},
	},
	{
		rows: []string{"47"}, name: "an Update inside an Update of the session is refused",
		pkg: "./fibersession", test: "TestUpdate_Nested",
		edits: []mutant.Edit{{File: "fibersession/state_update.go", Old: "case s.runsOn(goroutine):\n\t\treturn nil, ErrNested\n", New: "case goroutine == 0:\n\t\treturn nil, ErrNested\n"}},
	},
	{
		rows: []string{"47", "D15"}, name: "no lock of the socket is held while a handler runs",
		pkg: "./socketbridge", test: "TestD15_NoLockIsHeldWhileHandlersRun",
		edits: []mutant.Edit{{File: "socketbridge/inbox.go", Old: "\tb.socket.handle(t.packet)\n", New: "\tb.socket.mu.Lock()\n\tdefer b.socket.mu.Unlock()\n\tb.socket.handle(t.packet)\n"}},
	},
	{
		rows: []string{"48"}, name: "a shutdown waits for the events that arrived",
		pkg: "./socketbridge", test: "TestShutdown",
		edits: []mutant.Edit{{File: "socketbridge/server.go", Old: "\terr := s.running.Wait(ctx)\n\tif err", New: "\tvar err error\n\tfor _, c := range s.allClients() {\n\t\tc.conn.Close(transport.ShuttingDown)\n\t}\n\tif err"}},
	},
	{
		rows: []string{"48"}, name: "events that arrive during a shutdown are dropped",
		pkg: "./socketbridge", test: "TestShutdown",
		edits: []mutant.Edit{{File: "socketbridge/socket.go", Old: "if s.server().closing.Load() { // only", New: "if s == nil { // only"}},
	},
	{
		rows: []string{"48"}, name: "a connection during a shutdown is refused",
		pkg: "./socketbridge", test: "TestShutdown",
		edits: []mutant.Edit{{File: "socketbridge/server.go", Old: "if s.closing.Load() {\n\t\treturn nil, ErrShutdown", New: "if s == nil {\n\t\treturn nil, ErrShutdown"}},
	},
	{
		rows: []string{"48"}, name: "a shutdown sends what is queued",
		pkg: "./socketbridge/engineio", test: "TestShutdown",
		edits: []mutant.Edit{{File: "socketbridge/engineio/conn.go", Old: "\tc.out.Seal(packet{kind: closePacket, code: code})\n", New: "\tc.out.Drain(nil, 1<<30)\n\tc.out.Seal(packet{kind: closePacket, code: code})\n"}},
	},
	{
		rows: []string{"49", "D19"}, name: "Locals of a handshake are copies",
		pkg: "./socketbridge/engineio", test: "TestD19_HandshakeIsACopy",
		edits: []mutant.Edit{{File: "socketbridge/engineio/handshake_snapshot.go", Old: "locals[strings.Clone(name)] = strings.Clone(v)", New: "locals[strings.Clone(name)] = v"}},
	},
	{
		rows: []string{"49", "D19"}, name: "a session's strings are copies",
		pkg: "./fibersession", test: "TestD19_ValuesFromTheRequest",
		edits: []mutant.Edit{{File: "fibersession/internal/codec/clone.go", Old: "return strings.Clone(v)", New: "return v"}},
	},
	{
		rows: []string{"49", "D19"}, name: "a session's keys are copies",
		pkg: "./fibersession", test: "TestD19_ValuesFromTheRequest",
		edits: []mutant.Edit{{File: "fibersession/handle.go", Old: "h.ch[strings.Clone(key)] = c", New: "h.ch[key] = c"}},
	},
	{
		rows: []string{"49", "D19"}, name: "keys of storage.From are copies",
		pkg: "./storage", test: "TestD19_FromKeepsKeysOfItsOwn",
		edits: []mutant.Edit{{File: "storage/from.go", Old: "errNegativeTTL(exp)\n\t}\n\tkey, val = strings.Clone(key), clone(val)", New: "errNegativeTTL(exp)\n\t}\n\tval = clone(val)"}},
	},
	{
		rows: []string{"49"}, name: "a packet is a copy of the buffer that it was read into",
		pkg: "./socketbridge/internal/siopacket", test: "TestD19_TextIsCopied",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "\tif shared {\n", New: "\tif shared && len(data) == 0 {\n"}},
	},
	{
		rows: []string{"49"}, name: "an attachment is a copy",
		pkg: "./socketbridge/internal/siopacket", test: "TestAttachments",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "append(w.packet.Attachments, append([]byte{}, data...))", New: "append(w.packet.Attachments, data)"}},
	},
	{
		rows: []string{"50", "D7", "D1", "GitHub 2021-03-08", "CVE-2020-35681"}, name: "a request's session ends with the request",
		pkg: "./fibersession", test: "TestD7_D19_SessionOfAnEarlierRequest",
		edits: []mutant.Edit{{File: "fibersession/session.go", Old: "if s.phase == phaseOver || s.upgraded() {\n\t\ts.mu.Unlock()\n\t\treturn nil, ErrRequestOver", New: "if s.upgraded() {\n\t\ts.mu.Unlock()\n\t\treturn nil, ErrRequestOver"}},
	},
	{
		rows: []string{"50", "D2"}, name: "one goroutine at a time writes to a connection",
		pkg: "./socketbridge/internal/serial", test: "TestQueue_CloseWaitsForTheWorkAndDropsTheRest",
		edits: []mutant.Edit{{File: "socketbridge/internal/serial/queue_worker.go", Old: "if q.started() && !q.running && !q.held && len(q.items) > 0 {", New: "if q.started() && !q.held && len(q.items) > 0 {"}},
	},
	{
		rows: []string{"50", "D3"}, name: "a socket of contrib/socketio has a copy of its connection",
		pkg: "./socketbridge/contribws", test: "TestE4_ChurnReachesNobodyElse",
		edits: []mutant.Edit{{File: "socketbridge/contribws/library.go", Old: "\tkws.Conn = &own\n", New: ""}, {File: "socketbridge/contribws/library.go", Old: "\tshared.Conn = nil\n", New: "\t_ = shared\n"}},
	},
	{
		rows: []string{"52", "GO-2026-4528"}, name: "a weak setting of sessions is warned of",
		pkg: "./fibersession", test: "TestNew_WarnsOfWeakSettings",
		edits: []mutant.Edit{{File: "fibersession/config_defaults.go", Old: "\t\tif on {\n\t\t\ts.log.Warn", New: "\t\tif on && warning == \"\" {\n\t\t\ts.log.Warn"}},
	},
	{
		rows: []string{"52", "GO-2026-4528"}, name: "AllowAnyOrigin is warned of",
		pkg: "./socketbridge/engineio", test: "TestAllowAnyOrigin_IgnoresCookies",
		edits: []mutant.Edit{{File: "socketbridge/engineio/server.go", Old: "if cfg.AllowAnyOrigin {", New: "if cfg.AllowAnyOrigin && cfg.RequireOrigin {"}},
	},
	{
		rows: []string{"52", "D20"}, name: "a missing ReadTimeout is warned of",
		pkg: "./socketbridge/engineio", test: "TestWarnings",
		edits: []mutant.Edit{{File: "socketbridge/engineio/handler.go", Old: "\t\t\ts.notices.Report(&readTimeoutNotice, \"\")\n", New: ""}},
	},

	// Bounds of docs/reliability.md.
	{
		rows: []string{"31"}, name: "the events of a socket that wait are limited",
		pkg: "./socketbridge", test: "TestBackpressure",
		edits: []mutant.Edit{{File: "socketbridge/inbox.go", Old: "len(b.queue) >= b.limit && !b.closed && !last; {", New: "len(b.queue) < 0 && !b.closed && !last; {"}},
	},
	{
		rows: []string{"31"}, name: "the events of a client that wait are limited in bytes",
		pkg: "./socketbridge", test: "TestS11_EventsOfAClientWaitWithinItsLimit",
		edits: []mutant.Edit{{File: "socketbridge/inbox_quota.go", Old: "case held+int64(n) > limit:", New: "case held < 0:"}},
	},
	{
		rows: []string{"31"}, name: "the events of all clients that wait are limited in bytes",
		pkg: "./socketbridge", test: "TestS11_EventsOfAllClients",
		edits: []mutant.Edit{{File: "socketbridge/inbox_quota.go", Old: "s.server().heldBytes.Load()+int64(n) > maxServerBytes", New: "s.server().heldBytes.Load() < 0"}},
	},
	{
		rows: []string{"31"}, name: "one event of each client may wait",
		pkg: "./socketbridge", test: "TestS11_EventsOfAllClients",
		edits: []mutant.Edit{{File: "socketbridge/inbox_quota.go", Old: "case q.waiting.Load() == 0 && held < limit:", New: "case q.waiting.Load() == 0 && held == 0:"}},
	},
	{
		rows: []string{"31"}, name: "answers that wait count like events",
		pkg: "./socketbridge", test: "TestS11_AnswersThatWait",
		edits: []mutant.Edit{{File: "socketbridge/ack.go", Old: "if s.acks.queues(p.ID) {", New: "if s == nil && s.acks.queues(p.ID) {"}},
	},
	{
		rows: []string{"31"}, name: "callbacks of acknowledgements that wait are limited",
		pkg: "./socketbridge", test: "TestS2_AckFuncsAreBounded",
		edits: []mutant.Edit{{File: "socketbridge/ack_callback.go", Old: "\ts.acks.queued++\n", New: ""}, {File: "socketbridge/ack_callback.go", Old: "\ta.queued--\n", New: ""}},
	},
	{
		rows: []string{"31"}, name: "a reader that waits is told of the end",
		pkg: "./socketbridge", test: "TestS11_AHandlerThatWaitsForTheEnd",
		edits: []mutant.Edit{{File: "socketbridge/client.go", Old: "func (c *client) Interrupt() { c.broken.Fire() }", New: "func (c *client) Interrupt() {}"}},
	},
	{
		rows: []string{"31"}, name: "the engine tells a receiver of the end",
		pkg: "./socketbridge/engineio", test: "TestS11_InterruptEndsAReceive",
		edits: []mutant.Edit{{File: "socketbridge/engineio/conn.go", Old: "func() error { i.Interrupt(); return nil }", New: "func() error { _ = i; return nil }"}},
	},
	{
		rows: []string{"31"}, name: "the auth of a CONNECT is limited",
		pkg: "./socketbridge", test: "TestS11_R27_Auth",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "if len(data) > d.Limits.auth() {", New: "if len(data) < 0 {"}},
	},
	{
		rows: []string{"31"}, name: "the auth of a client's sockets is limited",
		pkg: "./socketbridge", test: "TestS11_R27_Auth",
		edits: []mutant.Edit{{File: "socketbridge/client.go", Old: "if int(c.auth)+len(auth) > maxClientAuth {", New: "if int(c.auth)+len(auth) < 0 {"}},
	},
	{
		rows: []string{"31"}, name: "128 CONNECTs of a client may be refused a minute",
		pkg: "./socketbridge", test: "TestS11_R27_RefusedConnects",
		edits: []mutant.Edit{{File: "socketbridge/connect_limits.go", Old: "over := c.refusals.n == maxRefusals+1", New: "over := c.refusals.n < 0"}},
	},
	{
		rows: []string{"62"}, name: "the namespaces that a client was removed from are limited",
		pkg: "./socketbridge", test: "TestS2_RefusedClientsLeaveNoChild",
		edits: []mutant.Edit{{File: "socketbridge/client.go", Old: "if len(c.kicked) < 2*maxNamespaces {", New: "if len(c.kicked) >= 0 {"}},
	},
	{
		rows: []string{"30"}, name: "connections are counted by address",
		pkg: "./socketbridge/engineio", test: "TestConnLimiter",
		edits: []mutant.Edit{{File: "socketbridge/engineio/conn_limiter.go", Old: "if l.maxPerIP >= 0 && u.conns >= l.maxPerIP {", New: "if l.maxPerIP >= 0 && u.conns < 0 {"}},
	},
	{
		rows: []string{"30"}, name: "an address has one shard",
		pkg: "./socketbridge/engineio", test: "TestConnLimiter",
		edits: []mutant.Edit{{File: "socketbridge/engineio/conn_limiter.go", Old: "l.seeded.Do(func() { l.seed = maphash.MakeSeed() })", New: "l.seed = maphash.MakeSeed()"}},
	},
	{
		rows: []string{"30", "GHSA-c5qf-v26h-rp5r"}, name: "addresses without connections are forgotten",
		pkg: "./socketbridge/engineio", test: "TestS5_ConnLimiterShrinks",
		edits: []mutant.Edit{{File: "socketbridge/engineio/conn_limiter.go", Old: "\tl.shards[l.swept.Add(1)%limiterShards].evictIdle(now)\n", New: ""}},
	},
	{
		rows: []string{"33"}, name: "the map of addresses shrinks",
		pkg: "./socketbridge/engineio", test: "TestS5_ConnLimiterShrinks",
		edits: []mutant.Edit{{File: "socketbridge/engineio/conn_limiter.go", Old: "if s.peak < minShrink || len(s.networks) > s.peak/8 {", New: "if s.peak >= 0 {"}},
	},
	{
		rows: []string{"36"}, name: "room events that wait are limited",
		pkg: "./socketbridge", test: "TestS2_RoomEventsAreBounded",
		edits: []mutant.Edit{{File: "socketbridge/room_events.go", Old: "case q.count == maxRoomEvents:", New: "case q.count < 0:"}},
	},
	{
		rows: []string{"20"}, name: "changed keys that handlers have not seen are limited",
		pkg: "./socketbridge", test: "TestSessionChange_InOrderAndTogether",
		edits: []mutant.Edit{{File: "socketbridge/session_change.go", Old: "len(c.keys) > maxChangedKeys {", New: "len(c.keys) < 0 {"}},
	},
	{
		rows: []string{"44"}, name: "events of other nodes that wait are limited",
		pkg: "./socketbridge", test: "TestS6_Notices",
		edits: []mutant.Edit{{File: "socketbridge/cluster_serverside.go", Old: "\ts.queue.Max = maxServerEvents\n", New: ""}},
	},
	{
		rows: []string{"32"}, name: "messages that wait for contribws are limited in bytes",
		pkg: "./socketbridge/contribws", test: "TestE4_MaxBehindBytes",
		edits: []mutant.Edit{{File: "socketbridge/contribws/message_queue.go", Old: " || len(q.waiting) > 0 && q.bytes+n > q.maxBytes", New: ""}},
	},
	{
		rows: []string{"32"}, name: "what is sent before a CONNECT is confirmed is limited",
		pkg: "./socketbridge", test: "TestR24_SentBeforeConnect",
		edits: []mutant.Edit{{File: "socketbridge/socket_early.go", Old: "if q.size > 0 && q.size+size > limits.MaxBacklogBytes/earlyShare {", New: "if limits == nil {"}},
	},
}
