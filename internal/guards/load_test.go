package guards_test

// ofLoad are the guards of docs/security.md, rows 25 to 33, 63 and 64.
var ofLoad = []guard{
	{
		[]string{"25", "D12", "CVE-2016-10542", "CVE-2020-27813", "CVE-2026-1528", "CVE-2020-13935", "CVE-2026-27889", "CVE-2026-33219"}, "a message that is too large is refused at its header",
		engine, "TestD12_MessageSizeIsLimited",
		edit("socketbridge/internal/wsframe/decoder.go", "if d.MaxMessage > 0 && h.Length > uint64(d.MaxMessage-joined) {", "if d.MaxMessage > 0 && joined > d.MaxMessage {"),
	},
	{
		[]string{"25", "CVE-2026-42786"}, "the fragments of a message count together",
		frames, "TestDecoder_JudgesTheHeaderAlone",
		edit("socketbridge/internal/wsframe/decoder.go", "\t\tjoined = len(d.partial.joined)\n", ""),
	},
	{
		[]string{"25", "CVE-2026-48779"}, "a message has 4,096 fragments at most",
		frames, "TestDecoder",
		edit("socketbridge/internal/wsframe/decoder.go", "if d.partial.fragments >= maxFragments {", "if d.partial.fragments < 0 {"),
	},
	{
		[]string{"25", "CVE-2020-36048"}, "a post that is too large is refused before it is read",
		engine, "TestStreamedBodies",
		append(edit("socketbridge/engineio/handler.go", "case h.ContentLength() > s.cfg.MaxPayload:", "case h.ContentLength() > s.cfg.MaxPayload<<20:"),
			edit("socketbridge/internal/httpbody/budget.go", "\tif size > limit {", "\tif size > limit<<20 {")...),
	},
	{
		[]string{"63"}, "memory of a body grows with what arrives",
		bodies, "TestBudget_CountsWhatArrives",
		edit("socketbridge/internal/httpbody/budget.go", "larger := min(max(2*n, firstSize), size)", "larger := size"),
	},
	{
		[]string{"63"}, "bodies together have a limit",
		bodies, "TestBudget_CountsWhatArrives",
		edit("socketbridge/internal/httpbody/budget.go", "if b.used.Add(int64(n)) > b.Max.Load() {", "if b.used.Add(int64(n)) < 0 {"),
	},
	{
		[]string{"63"}, "a body without a length has a limit",
		bodies, "TestBudget_Read",
		edit("socketbridge/internal/httpbody/budget.go", "if err == nil && len(body.Bytes) > limit {", "if err == nil && len(body.Bytes) < 0 {"),
	},
	{
		[]string{"63"}, "bodies are streamed, not announced",
		engine, "TestBodies_AnnouncedBytesCostNothing",
		edit("socketbridge/engineio/body.go", "\thttp.StreamRequestBody = true\n", ""),
	},
	{
		[]string{"64"}, "an answer that is not read ends its connection",
		bodies, "TestAnswer_NotRead",
		edit("socketbridge/internal/httpbody/answer.go", "\t_ = ctx.SetWriteDeadline(time.Now().Add(timeout))", "\t_ = time.Now().Add(timeout)"),
	},
	{
		[]string{"64"}, "a slow reader of an answer is not cut off",
		bodies, "TestAnswer_SlowReader",
		edit("socketbridge/internal/httpbody/answer.go", "\t\textendDeadline(a.ctx, a.timeout)\n", ""),
	},
	{
		[]string{"64"}, "a poll's answer ends its connection too",
		engine, "TestPolls_AnswersThatAreNotRead",
		edit("socketbridge/engineio/polling.go", `func (c *conn) pollNotTaken() { c.closeSlow("Config.Timeouts.Write", c.server.cfg.Timeouts.Write) }`, "func (c *conn) pollNotTaken() {}"),
	},
	{
		[]string{"26", "D11", "CVE-2026-27571", "centrifuge PR 584", "GHSA-5v72-xg48-5rpm"}, "permessage-deflate is not offered",
		engine, "TestD11_NoCompressionOnWebSockets",
		edit("socketbridge/engineio/websocket_handshake.go", "\t// The hijack handler writes the response,", "\tc.Set(\"Sec-WebSocket-Extensions\", c.Get(\"Sec-WebSocket-Extensions\"))\n\t// The hijack handler writes the response,"),
	},
	{
		[]string{"26", "D11", "CVE-2022-21676"}, "a compressed frame is refused",
		engine, "TestD11_NoCompressionOnWebSockets",
		edit("socketbridge/internal/wsframe/frame.go", "if b[0]&0x70 != 0 {", "if false {"),
	},
	{
		[]string{"27", "D10"}, "a compressed body is refused",
		engine, "TestD10_CompressedBodiesAreRefused",
		edit("socketbridge/engineio/handler.go", "case len(h.ContentEncoding()) > 0 && !strings.EqualFold(", "case false && !strings.EqualFold("),
	},
	{
		[]string{"28", "D20"}, "a missing ReadTimeout is logged",
		engine, "TestWarnings",
		edit("socketbridge/engineio/handler.go", "\t\t\ts.notices.Report(&readTimeoutNotice, \"\")\n", ""),
	},
	{
		[]string{"28"}, "a client that joins nothing is closed",
		bridge, "TestTimeouts",
		edit("socketbridge/client.go", "\tc.idleTimer = time.AfterFunc(s.cfg.Timeouts.Connect, c.connectTimeout)\n", ""),
	},
	{
		[]string{"28"}, "a client that does not read is closed",
		engine, "TestTime_D12_WriteDeadline",
		edit("socketbridge/engineio/websocket_writer.go", "return w.nc.SetWriteDeadline(w.deadline)", "return nil"),
	},
	{
		[]string{"28", "29"}, "a client that answers no ping is closed",
		engine, "TestTime_D20_PollIsBounded",
		edit("socketbridge/engineio/heartbeat.go", "reason, cause = transport.PingTimeout, errNoPong", "return"),
	},
	{
		[]string{"28", "CVE-2026-26130", "CVE-2024-21386", "D12"}, "a message has its time",
		engine, "TestTime_R18_UnfinishedMessage",
		edit("socketbridge/engineio/websocket_reader.go", "\tr.boundMessage()\n\tr.stall.stop(r.server.now())\n\tn, err", "\tr.stall.stop(r.server.now())\n\tn, err"),
	},
	{
		[]string{"28"}, "each message has its own time",
		engine, "TestTime_R18_EachMessageHasItsOwnTime",
		edit("socketbridge/engineio/websocket_reader.go", "\t\tr.timed = r.timed && r.dec.Pending()\n", ""),
	},
	{
		[]string{"28", "CVE-2022-41940"}, "a handshake that is not completed ends",
		engine, "TestTime_HijackNeverHappens",
		edit("socketbridge/engineio/conn.go", "time.AfterFunc(s.cfg.Timeouts.Upgrade, c.onTimer)\n\tc.setTimer(giveUpOpening, s.cfg.Timeouts.Upgrade)", "time.AfterFunc(time.Hour, c.onTimer)"),
	},
	{
		[]string{"28", "GHSA-px4r"}, "a close is not waited for without end",
		engine, "TestTime_CloseAgainstAClientThatNeverReads",
		edit("socketbridge/engineio/conn.go", "\tc.setTimer(giveUpClosing, c.server.cfg.Timeouts.Close)\n", ""),
	},
	{
		[]string{"28", "CVE-2026-48802"}, "a pong that answers no ping is ignored",
		engine, "TestTime_UnsolicitedPongsAreIgnored",
		edit("socketbridge/engineio/heartbeat.go", "if c.state.Load() == open && c.timerTask == giveUpPong {", "if c.state.Load() == open {"),
	},
	{
		[]string{"29", "D20"}, "a poll ends within the heartbeat",
		engine, "TestTime_D20_PollIsBounded",
		edit("socketbridge/engineio/heartbeat.go", "\t\t\tc.releasePoll = c.pollWaiting ", "\t\t\t"),
	},
	{
		[]string{"30"}, "an address has a number of connections",
		engine, "TestConnLimiter",
		edit("socketbridge/engineio/conn_limiter.go", "if l.maxPerIP >= 0 && u.conns >= l.maxPerIP {", "if false {"),
	},
	{
		[]string{"30"}, "an address has a rate of connections",
		engine, "TestConnLimiter",
		edit("socketbridge/engineio/conn_limiter.go", "if next.After(now.Add(time.Second)) {", "if false {"),
	},
	{
		[]string{"30"}, "connections have a limit in total",
		engine, "TestConnLimiter",
		edit("socketbridge/engineio/conn_limiter.go", "if n := l.conns.Add(1); l.maxConns > 0 && n > int64(l.maxConns) {", "if n := l.conns.Add(1); n < 0 {"),
	},
	{
		[]string{"30"}, "an IPv6 address counts by its network",
		engine, "TestConnLimiter",
		edit("socketbridge/engineio/conn_limiter.go", "addr.Prefix(64)", "addr.Prefix(128)"),
	},
	{
		[]string{"30", "GHSA-c5qf-v26h-rp5r"}, "addresses that left are forgotten",
		engine, "TestConnLimiter",
		edit("socketbridge/engineio/conn_limiter.go", "\tdelete(s.networks, network)\n", ""),
	},
	{
		[]string{"30", "CVE-2023-41338", "CVE-2026-45045"}, "an address comes from a trusted proxy only",
		engine, "TestS5_LimitBehindProxies",
		edit("socketbridge/engineio/client_addr.go", `if cfg.ProxyHeader != "" && c.IsProxyTrusted() {`, `if cfg.ProxyHeader != "" {`),
	},
	{
		[]string{"30"}, "a session has a number of connections",
		bridge, "TestMaxConnsPerSession",
		edit("socketbridge/session_lift.go", "if limit >= 0 && c.n[name] >= limit {", "if false {"),
	},
	{
		[]string{"30"}, "a user has a number of connections",
		bridge, "TestMaxConnsPerUser",
		edit("socketbridge/user_presence.go", "return id != \"\" && t.exceedsLimit(t.byID[id], nil)", "return false"),
	},
	{
		[]string{"31"}, "a flood ends its connection",
		engine, "TestR18_RateLimiter",
		edit("socketbridge/engineio/conn_rate.go", "now-b.overSince >= floodTimeout", "false"),
	},
	{
		[]string{"31"}, "every frame counts, of whatever type",
		engine, "TestTime_R18_EveryFrameCounts",
		edit("socketbridge/engineio/websocket_reader.go", "if err := r.conn.limit(packets, n); err != nil {", "if err := r.conn.limit(packets, n); err != nil && m.Op == wsframe.Text {"),
	},
	{
		[]string{"31"}, "every packet of a body counts",
		engine, "TestTime_R18_EveryPacketOfABodyCounts",
		edit("socketbridge/engineio/polling.go", "if err := c.limit(1, 0); err != nil {", "if err := error(nil); err != nil {"),
	},
	{
		[]string{"31"}, "requests to upgrade count",
		engine, "TestTime_R18_UpgradeRequestsCount",
		edit("socketbridge/engineio/polling_upgrade.go", "if c.limit(1, 0) != nil || !c.startProbe(w) {", "if !c.startProbe(w) {"),
	},
	{
		[]string{"31"}, "what is discarded after a close is read slowly",
		engine, "TestTime_R18_DrainIsSlow",
		edit("socketbridge/engineio/websocket_reader.go", "pause(max(drainPause, time.Duration(float64(n)*perByte)), stop)", "pause(max(drainPause, time.Duration(float64(n)*perByte/100)), stop)"),
	},
	{
		[]string{"31"}, "the close of an upgrade has its time",
		engine, "TestTime_R18_LingerIsBounded",
		edit("socketbridge/engineio/websocket_linger.go", "\tdefer time.AfterFunc(left, l.end).Stop()\n", ""),
	},
	{
		[]string{"31"}, "few upgrades are read from after their close",
		engine, "TestTime_R18_LingeringIsLimited",
		edit("socketbridge/engineio/websocket_linger.go", "return len(s.lingering) <= maxLingering", "return true"),
	},
	{
		[]string{"31"}, "the close of an upgrade ends with the server",
		engine, "TestTime_ShutdownCutsLingering",
		edit("socketbridge/engineio/server.go", "\ts.cutLingering()\n", ""),
	},
	{
		[]string{"31"}, "the close of an upgrade does not prolong that of its connection",
		engine, "TestTime_ShutdownAndUpgrades",
		edit("socketbridge/engineio/polling_upgrade.go", "if c.timerTask == giveUpClosing {\n", "if false {\n"),
	},
	{
		[]string{"31"}, "events of a socket wait within MaxInbox",
		bridge, "TestBackpressure",
		edit("socketbridge/inbox.go", "len(b.queue) >= b.limit && !b.closed && !last; {", "false && !last; {"),
	},
	{
		[]string{"31"}, "events of a client wait within its limit",
		bridge, "TestS11_EventsOfAClientWaitWithinItsLimit",
		edit("socketbridge/inbox_quota.go", "case held+int64(n) > limit:", "case held+int64(n) > 1<<40:"),
	},
	{
		[]string{"31"}, "events of all clients have a limit",
		bridge, "TestS11_EventsOfAllClients",
		edit("socketbridge/inbox_quota.go", "case s.server().heldBytes.Load()+int64(n) > maxServerBytes:", "case n < 0:"),
	},
	{
		[]string{"31"}, "refused CONNECTs have a limit",
		bridge, "TestS11_R27_RefusedConnects",
		edit("socketbridge/connect_limits.go", "over := c.refusals.n == maxRefusals+1", "over := c.refusals.n < 0"),
	},
	{
		[]string{"31"}, "auth of a client's sockets has a limit",
		bridge, "TestS11_R27_Auth",
		edit("socketbridge/client.go", "if int(c.auth)+len(auth) > maxClientAuth {", "if false {"),
	},
	{
		[]string{"32", "D14"}, "a client on polling that takes nothing is closed",
		engine, "TestS1_SlowPolling",
		edit("socketbridge/engineio/conn_send.go", "\t\tc.watchProgress()\n", ""),
	},
	{
		[]string{"32", "D14"}, "broadcasts queue a bounded size for one client",
		engine, "TestS1_BacklogOfOneConnection",
		edit("socketbridge/engineio/conn.go", "max(1, s.cfg.Limits.MaxBacklogBytes/backlogShare)", "1<<40"),
	},
	{
		[]string{"32", "D14"}, "broadcasts queue a bounded size for all clients",
		engine, "TestS1_R9_BacklogOfTheServer",
		edit("socketbridge/engineio/conn_send.go", "if counted && c.server.backlog.exceeded() {", "if false {"),
	},
	{
		[]string{"32", "D16"}, "Emit to a client that has left returns an error",
		bridge, "TestD16_EmitAfterDisconnect",
		append(edit("socketbridge/socket_send.go", "\tif s.state.Load() == ended {\n\t\treturn ErrDisconnected\n\t}\n", ""),
			edit("socketbridge/socket_send.go", "if errors.Is(err, transport.ErrClosed) {\n\t\treturn ErrDisconnected", "if errors.Is(err, transport.ErrClosed) {\n\t\treturn nil")...),
	},
	{
		[]string{"32", "D16"}, "Emit waits for a slow client",
		bridge, "TestS1_SendersThatWait",
		edit("socketbridge/socket_send.go", "if drained == nil {", "if drained == nil || err == nil {"),
	},
	{
		[]string{"33", "D17", "CVE-2026-48802"}, "an idle connection costs no goroutine",
		engine, "TestD17_GoroutinesOfIdleConnections",
		edit("socketbridge/engineio/conn.go", "c.setTimer(sendPing, c.server.cfg.PingInterval)", "c.setTimer(sendPing, c.server.cfg.PingInterval)\n\t\tgo func() { <-c.Done() }()"),
	},
	{
		[]string{"33", "D17"}, "one goroutine waits for all idle clients",
		engine, "TestD17_GoroutinesOfIdleConnections",
		edit("socketbridge/engineio/websocket.go", "if c.reader == nil || !c.server.idle.wait(c) {", "{"),
	},
	{
		[]string{"33"}, "the reader of an idle connection starts when the connection ends",
		engine, "TestIdle_Ends",
		edit("socketbridge/engineio/conn.go", "\tc.readAgain()\n", ""),
	},
	{
		[]string{"33"}, "a connection that ends while its reader does is not left without one",
		engine, "TestIdle_WaitOfAnEndedConnection",
		edit("socketbridge/engineio/idle_epoll.go", "if err == nil && c.state.Load() != closed {", "if err == nil {"),
	},
	{
		[]string{"33"}, "the rest of a message has a reader with a deadline",
		engine, "TestIdle_NotWithinAMessage",
		edit("socketbridge/engineio/websocket_reader.go", "return r.empty() && !r.dec.Pending()", "return r.empty()"),
	},
	{
		[]string{"33"}, "a read buffer grows with what has arrived",
		engine, "TestR18_ReadBufferFollowsWhatArrived",
		edit("socketbridge/engineio/websocket_reader.go", "grown := make([]byte, 2*len(r.buf))", "grown := make([]byte, r.server.cfg.MaxPayload+wsframe.MaxHeader)"),
	},
	{
		[]string{"33"}, "a read buffer shrinks",
		engine, "TestR18_ReadBufferFollowsWhatArrived",
		edit("socketbridge/engineio/websocket_reader.go", "r.from > 0 && len(rest) < readSize)", "false)"),
	},
}
