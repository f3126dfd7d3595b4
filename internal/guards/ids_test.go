package guards_test

// ofIDs are the guards of docs/security.md, rows 11 to 18, 53 to 61.
var ofIDs = []guard{
	{
		[]string{"11", "GHSA-gr94-w7qr-f4j3", "Phoenix 1.9"}, "a connection ID needs the session's cookie",
		bridge, "TestConnectionIDOfAnother",
		edit("socketbridge/engineio/handler.go", "if s.hooks.SameVisitor != nil && !s.hooks.SameVisitor(", "if false && !s.hooks.SameVisitor("),
	},
	{
		[]string{"11", "engine.io d1f5aa93"}, "a handshake that the app refuses opens nothing",
		engine, "TestLift",
		edit("socketbridge/engineio/handshake.go", "\t\treturn nil, err // the value returned with an error is ignored\n\t}\n", "\t}\n"),
	},
	{
		[]string{"11"}, "another's connection is answered like an unknown one",
		bridge, "TestConnectionIDOfAnother",
		edit("socketbridge/engineio/handler.go", "return sendError(c, errOtherVisitor)", "return sendError(c, ErrForbidden)"),
	},
	{
		[]string{"11"}, "a cookieless program keeps its address and agent",
		bridge, "TestS5_CookielessPolls",
		edit("socketbridge/session_lift.go", "!l.sendsID.Load() && s.cookieless(c) == l.cookieless {", "!l.sendsID.Load() {"),
	},
	{
		[]string{"11"}, "a program that sends its session must go on with it",
		bridge, "TestS5_CookielessPolls",
		edit("socketbridge/session_lift.go", "\t\t\tl.sendsID.Store(true)\n", ""),
	},
	{
		[]string{"11"}, "a session owns its own connections only",
		session, "TestOwns",
		edit("fibersession/bridge.go", "theirs.lineage != ours.lineage", "theirs == nil"),
	},
	{
		[]string{"11", "17", "CVE-2017-16031", "CVE-2026-41838"}, "no connection ID without randomness",
		engine, "TestNewID",
		edit("socketbridge/engineio/server.go", `return "", errInternal`, `_ = errInternal`),
	},
	{
		[]string{"12"}, "a second upgrade is refused",
		engine, "TestUpgrade_SecondIsRefused",
		edit("socketbridge/engineio/polling_upgrade.go", "c.checkOnPolling() != nil || c.probe != nil", "c.checkOnPolling() != nil"),
	},
	{
		[]string{"12"}, "an upgrade has 10 s",
		engine, "TestTime_UpgradeTimeout",
		edit("socketbridge/engineio/polling_upgrade.go", "\tw.setReadDeadline(time.Now().Add(c.server.cfg.Timeouts.Upgrade))\n", ""),
	},
	{
		[]string{"12"}, "DisableUpgrades refuses upgrades",
		engine, "TestUpgrade_Disabled",
		edit("socketbridge/engineio/polling_upgrade.go", "if err == nil && s.cfg.DisableUpgrades {", "if false {"),
	},
	{
		[]string{"12"}, "a failed upgrade leaves the connection on polling",
		engine, "TestUpgrade_Fails",
		edit("socketbridge/engineio/polling_upgrade.go", "\tc.probe, c.probeAnswered, c.switching = nil, false, false // ", "\t// "),
	},
	{
		[]string{"12"}, "an upgrade whose connection is closed gets a close frame",
		engine, "TestTime_LingerEndsWithTheClient",
		edit("socketbridge/engineio/websocket_linger.go", "\tw.resume()\n", ""),
	},
	{
		[]string{"12"}, "a WebSocket that is not taken over is closed without a reset",
		engine, "TestClose_IsNoReset",
		edit("socketbridge/engineio/websocket_linger.go", "if drains {", "if drains && false {"),
	},
	{
		[]string{"12"}, "a connection that is refused is closed without a reset",
		engine, "TestClose_IsNoReset",
		edit("socketbridge/engineio/websocket.go", "\t\tc.ws.closeWrite()\n\t\tr.drain(c.stopped.Done())\n\t}\n\tc.terminate", "\t}\n\tc.terminate"),
	},
	{
		[]string{"12"}, "a close frame does not stand within another frame",
		engine, "TestTime_NoCloseFrameWithinAFrame",
		edit("socketbridge/engineio/websocket_linger.go", "if w.torn || w.write", "if w.write"),
	},
	{
		[]string{"13"}, "a second poll ends the connection",
		engine, "TestRefuse_Overlap",
		edit("socketbridge/engineio/polling.go", "if c.pollWaiting {", "if false {"),
	},
	{
		[]string{"13", "63", "contrib a3bebe08"}, "one post of a connection is read at a time",
		engine, "TestBodies_OnePostIsReadAtATime",
		edit("socketbridge/engineio/polling.go", "overlap, switching := c.posting, c.switching", "overlap, switching := false, c.switching"),
	},
	{
		[]string{"14", "D18"}, "scripts cannot read the cookie",
		session, "TestCookie_Attributes",
		edit("fibersession/cookie_write.go", "c.SetHTTPOnly(true)", "c.SetHTTPOnly(s.store.Config.CookieHTTPOnly)"),
	},
	{
		[]string{"14", "D18"}, "the cookie is Secure",
		session, "TestCookie_Attributes",
		edit("fibersession/cookie_write.go", "\tc.SetSecure(s.secure)\n", ""),
	},
	{
		[]string{"14", "D18"}, "the cookie is of one host",
		session, "TestCookie_Attributes",
		edit("fibersession/cookie_name.go", "return hostCookie", "return plainCookie"),
	},
	{
		[]string{"14"}, "the cookie is SameSite=Lax",
		session, "TestCookie_Attributes",
		edit("fibersession/config_defaults.go", `setDefault(&c.CookieSameSite, "Lax")`, `setDefault(&c.CookieSameSite, "None")`),
	},
	{
		[]string{"14", "CVE-2020-15111", "CVE-2024-47764"}, "attributes of the cookie hold no separators",
		session, "TestNew_RefusesContradictions",
		edit("fibersession/config_defaults.go", "case !only(c.CookieDomain, isAttributeByte):", "case false:"),
	},
	{
		[]string{"15", "D18"}, "a session ends when it is not used",
		session, "TestN4_IdleLimitIsExact",
		edit("fibersession/layout.go", "return !now.Before(m.deadline())", "return !m.absolute.IsZero() && !now.Before(m.absolute)"),
	},
	{
		[]string{"15", "D18"}, "a session in use ends after 7 days",
		session, "TestN4_AbsoluteLimitIsExactAndHard",
		edit("fibersession/layout.go", "if !m.absolute.IsZero() && m.absolute.Before(m.expiry) {", "if false {"),
	},
	{
		[]string{"15"}, "the use of a session is not written each time",
		session, "TestN4_TouchesAreGathered",
		edit("fibersession/expiry.go", "return !now.Before(m.expiry.Add(every-m.idle)) ||", "return every > 0 ||"),
	},
	{
		[]string{"15", "CVE-2026-44553"}, "sockets notice the end without traffic",
		bridge, "TestB8_ExpiryIsNoticedWithoutTraffic",
		edit("fibersession/expiry_timers.go", "\t\ts.store.timers.set(s, at)\n", "\t\t_ = at\n"),
	},
	{
		[]string{"16", "CVE-2026-39324"}, "a cookie with a wrong signature is none",
		session, "TestA5_ForgedIsNone",
		edit("fibersession/cookie_sign.go", "if hmac.Equal(sig, []byte(signature(secret, name, id))) {", "if len(sig) > 0 || hmac.Equal(sig, []byte(signature(secret, name, id))) {"),
	},
	{
		[]string{"16", "CVE-2026-39324"}, "an unsigned cookie is none",
		session, "TestA5_ForgedIsNone",
		edit("fibersession/cookie_sign.go", `if dot < 0 || dot > maxForeignID {
		return "", false, false`, `if dot < 0 || dot > maxForeignID {
		return value, false, true`),
	},
	{
		[]string{"16"}, "a signature is for one cookie's name",
		session, "TestA5_ForgedIsNone",
		edit("fibersession/cookie_sign.go", `"fiberbridge cookie\x00" + name + "\x00" + id`, `"fiberbridge cookie\x00" + name[:0] + "\x00" + id`),
	},
	{
		[]string{"16"}, "a cookie that an older secret signed is replaced",
		session, "TestA5_SecretsRotate",
		edit("fibersession/cookie_sign.go", "return id, i > 0, true", "return id, i > len(s.secrets), true"),
	},
	{
		[]string{"16"}, "a secret has at least 32 bytes",
		session, "TestExtractor_Contradictions",
		edit("fibersession/cookie_sign.go", "if len(secret) < minSecret {", "if len(secret) < 1 {"),
	},
	{
		[]string{"17", "CVE-2025-66565", "CVE-2025-66630", "CVE-2021-3538"}, "no session ID without randomness",
		session, "TestRandom_Fails",
		edit("fibersession/id.go", `if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", lineage{}, fmt.Errorf("%w: %w", ErrRandom, err)
	}`, "_, _ = s.random.Read(b[:])"),
	},
	{
		[]string{"18", "D6", "CVE-2018-18925", "CVE-2024-38513"}, "an ID of another syntax never reaches the store",
		session, "TestFixation",
		edit("fibersession/id.go", "return len(id) == idLength && only(id, isBase64URL)", "return len(id) > 0"),
	},
	{
		[]string{"18", "D6", "CVE-2018-18925"}, "an ID in Fiber's layout never is another key",
		session, "TestBuiltin_BadIDsNeverReachTheStore",
		edit("fibersession/id.go", "len(id) <= maxForeignID && only(id, isUnreserved)", "len(id) <= maxForeignID"),
	},
	{
		[]string{"53"}, "a ticket is valid once",
		session, "TestTicket_IsRejected",
		edit("fibersession/ticket_store.go", "item.Revision, encodeTokenHeader(tokenUsed, deadline), 2*s.Config.Timeouts.Ticket)", "item.Revision, item.Value, 2*s.Config.Timeouts.Ticket)"),
	},
	{
		[]string{"53"}, "a ticket is valid once among many",
		session, "TestTicket_OnceAmongMany",
		edit("fibersession/ticket_store.go", "_, err = s.storage.CompareAndSwap(ctx, key, item.Revision, encodeTokenHeader(", "err = s.storage.Set(key, encodeTokenHeader("),
	},
	{
		[]string{"53"}, "a ticket is valid for 30 s",
		session, "TestTicket_Deadline",
		edit("fibersession/ticket_store.go", "if !time.Now().Before(deadline) {", "if !time.Now().Before(deadline.Add(time.Hour)) {"),
	},
	{
		[]string{"53"}, "a ticket is for one origin",
		session, "TestTicket_IsRejected",
		edit("fibersession/ticket.go", "!ok || from != string(t.bound)", "!ok || from == \"\""),
	},
	{
		[]string{"53"}, "a ticket is not in the storage",
		session, "TestTicket_IsNotInTheStorage",
		edit("fibersession/ticket_store.go", "sum := fingerprintOf(secret)", "sum := []byte(secret)"),
	},
	{
		[]string{"53"}, "a ticket's value opens with the ticket alone",
		session, "TestTicket_IsRejected",
		edit("fibersession/ticket_store.go", `derivedCipher(secret, "fiberbridge voucher "+string(kind))`, `derivedCipher(secret[:0], "fiberbridge voucher "+string(kind))`),
	},
	{
		[]string{"53"}, "a client with a bad ticket does not join by its cookie",
		bridge, "TestBadInput_Identity",
		edit("socketbridge/ticket.go", "\tif json.Unmarshal(raw, &ticket) != nil {\n\t\tticket = \"\"\n\t}\n\treturn ticket, true", "\treturn ticket, json.Unmarshal(raw, &ticket) == nil"),
	},
	{
		[]string{"54"}, "a new cookie needs a former one",
		session, "TestN5_RedeemCookie",
		edit("fibersession/ticket.go", "!s.validID(p.id) || !containsFingerprint(t.bound, fingerprintOf(p.id))", "!s.validID(p.id)"),
	},
	{
		[]string{"55", "D18"}, "sessions of plain http and https never mix",
		session, "TestF5_PlainAndHTTPSNeverMix",
		edit("fibersession/cookie_secure.go", "|| m.cookie.has(cookiePlain) != p.secure", "|| true"),
	},
	{
		[]string{"55"}, "plain http is logged",
		session, "TestF5_PlainHTTPIsLoggedOnce",
		edit("fibersession/cookie_secure.go", "\t\ts.notices.Report(&cookiePlainHTTPNotice, \"\", \"host\", (*loggedHost)(r))\n", ""),
	},
	{
		[]string{"55"}, "a proxy's headers tell a browser on this machine",
		session, "TestF5_PlainHTTPIsLoggedOnce",
		edit("fibersession/cookie_secure.go", "&& !isForwarded(r)", ""),
	},
	{
		[]string{"56"}, "only IDs of Fiber's syntax are old logins",
		session, "TestF3_HostileKeys",
		edit("fibersession/takeover_request.go", "return isUUIDv4(id)", "return len(id) >= minForeignID"),
	},
	{
		[]string{"56"}, "a key of this package is no old login",
		session, "TestF3_HostileKeys",
		edit("fibersession/takeover_request.go", "&& !strings.HasPrefix(id, t.store.Config.Prefix)", `&& !strings.HasPrefix(id, "\x00")`),
	},
	{
		[]string{"56"}, "an old login has the size of a session",
		session, "TestF3_HostileValues",
		edit("fibersession/takeover.go", "if size := t.store.Config.Limits.MaxSize; len(old) > size {", "if size := t.store.Config.Limits.MaxSize; size < 0 {"),
	},
	{
		[]string{"57"}, "an old login is taken over once",
		session, "TestF3_N12_EndsDuringTheTakeover",
		edit("fibersession/takeover.go", "_, err = t.store.storage.CompareAndSwap(ctx, old.id, rev, value, ttl)", "err = t.store.storage.Set(old.id, value, ttl)"),
	},
	{
		[]string{"57"}, "EndAll ends old logins that were not taken over",
		session, "TestF3_EndsBeforeTheTakeover",
		edit("fibersession/takeover.go", "\tif revoked {\n", "\tif revoked = false; revoked {\n"),
	},
	{
		[]string{"57"}, "Delete ends an old login",
		session, "TestF3_DeleteByOldID",
		edit("fibersession/store.go", "return s.takeovers.end(context.Background(), id)", "return nil"),
	},
	{
		[]string{"58"}, "an old ID leads nowhere after a minute",
		session, "TestF3_OldIDEndsAfterAMinute",
		edit("fibersession/takeover.go", "if !note.ends.IsZero() && !time.Now().Before(note.ends) {", "if false {"),
	},
	{
		[]string{"58"}, "an old ID does not own the session after a login",
		bridge, "TestF3_PollingAfterTheTakeover",
		edit("fibersession/takeover_request.go", "return used != nil && used.as == st.at.owner && used.old", "return used != nil && used.old"),
	},
	{
		[]string{"58"}, "a response does not carry another request's new ID",
		session, "TestF3_LoginMeanwhile",
		edit("fibersession/takeover_request.go", "|| s.upgraded() || st.place().id != old.newID {", "|| s.upgraded() {"),
	},
	{
		[]string{"56", "58"}, "a note opens with its old ID alone",
		session, "TestF3_HostileValues",
		edit("fibersession/takeover_note.go", `derivedCipher(oldID, "fiberbridge old login")`, `derivedCipher(oldID[:0], "fiberbridge old login")`),
	},
	{
		[]string{"55", "58"}, "old IDs of plain http and https do not mix",
		session, "TestF3_OldIDOverHTTPAndHTTPS",
		edit("fibersession/takeover_request.go", "cur != nil && !s.store.accepts(old.side(), &cur.meta)", "cur != nil && false"),
	},
	{
		[]string{"59", "CVE-2023-45128", "CVE-2023-45141"}, "a form needs the token of its session",
		"./fibersession/csrf", "TestF4_Token",
		edit("fibersession/csrf/csrf.go", "!hmac.Equal([]byte(got), []byte(tokenOf(id)))", "!hmac.Equal([]byte(got), []byte(got))"),
	},
	{
		[]string{"59"}, "a form without a store is refused",
		"./fibersession/csrf", "TestF4_StorageFails",
		edit("fibersession/csrf/csrf.go", "if err := sess.Err(); err != nil && !errors.Is(err, fibersession.ErrSessionGone) {\n\t\t\treturn err", "if err := sess.Err(); err != nil && !errors.Is(err, fibersession.ErrSessionGone) {\n\t\t\treturn c.Next()"),
	},
	{
		[]string{"60"}, "clients cannot send the private name",
		session, "TestF4_PrivateName",
		edit("fibersession/fiber_request.go", "\th.DelCookie(f.name)\n\th.Del(f.name)\n\tid := r.issueID(givenValues{})\n\th.SetCookie(f.name, id)", "\tid := r.issueID(givenValues{})\n\tif len(h.Cookie(f.name)) > 0 {\n\t\treturn r\n\t}\n\th.SetCookie(f.name, id)"),
	},
	{
		[]string{"60"}, "responses do not have the private name",
		session, "TestF4_PrivateName",
		edit("fibersession/fiber_request.go", "\tctx.Response.Header.Del(r.f.name)\n", ""),
	},
	{
		[]string{"60"}, "the private ID is worth nothing afterwards",
		session, "TestF4_RequestOver",
		edit("fibersession/fiber_request.go", "\tr.f.requests.Delete(r.token)\n\tr.f.forget(r)\n\tr.mu.Lock()\n\tc := r.c\n\tr.c = nil\n", "\tr.f.forget(r)\n\tr.mu.Lock()\n\tc := r.c\n"),
	},
	{
		[]string{"60"}, "no sessions without the Handler",
		session, "TestF4_NoHandler",
		edit("fibersession/fiber_store.go", "\t\treturn nil, \"\", f.stray()\n", "\t\treturn &fiberRequest{f: f}, \"0\", nil\n"),
	},
	{
		[]string{"61"}, "a logout by ID ends the session",
		session, "TestF1_StorageOfSessions",
		edit("fibersession/fiber_storage.go", "if err := p.store.Delete(key); err != nil {", "if err := error(nil); err != nil {"),
	},
	{
		[]string{"61"}, "the store's own keys are refused",
		session, "TestF1_StorageOfOtherKeys",
		edit("fibersession/fiber_storage.go", "if strings.HasPrefix(own, family) {", "if own == family {"),
	},
	{
		[]string{"61"}, "an old ID leads to the session that took it over",
		session, "TestF1_StorageOfOldLogins",
		edit("fibersession/fiber_storage.go", "if t := p.store.takeovers; t.isOver() || !t.isOldID(key) {", "if t := p.store.takeovers; true || t.isOver() {"),
	},
}
