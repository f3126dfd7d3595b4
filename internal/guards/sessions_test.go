package guards_test

// ofSessions are the guards of docs/security.md, rows 4 to 10.
var ofSessions = []guard{
	{
		[]string{"4", "CVE-2024-38513", "D6"}, "an unknown ID is not adopted",
		session, "TestFixation",
		edit("fibersession/session.go", "return s.store.create(s.client, s.original, s.store.begunPlain(s.secure))",
			`st, err := s.store.create(s.client, s.original, s.store.begunPlain(s.secure))
			if p := s.presented.Load(); err == nil && s.store.validID(p.id) {
				st.moveTo(s.store.layout.place(p.id))
			}
			return st, err`),
	},
	{
		[]string{"4", "fiber v3 #4469"}, "an ID in the URL does not count",
		session, "TestFixation",
		edit("fibersession/extractor.go", "value, twice = uniqueCookie(r, s.sourceName(src, secure))",
			`if value, twice = uniqueCookie(r, s.sourceName(src, secure)); value == "" {
				value = string(r.QueryArgs().Peek("session_id"))
			}`),
	},
	{
		[]string{"4"}, "two different cookies count as none",
		session, "TestFixation",
		edit("fibersession/extractor.go", "if ambiguous {", "if false && ambiguous {"),
	},
	{
		[]string{"4"}, "two different cookies are removed",
		session, "TestF5_DuplicateCookiesAreRemoved",
		edit("fibersession/session.go", "\t\t\ts.removeDuplicates(src)\n", "\t\t\t_ = src\n"),
	},
	{
		[]string{"4", "CVE-2022-25896"}, "a login over HTTP gives a new ID",
		session, "TestLogin_OverHTTP",
		edit("fibersession/user.go", "h, err := s.regenerate()", "h, err := s.loadToWrite()"),
	},
	{
		[]string{"4", "CVE-2022-25896"}, "a login by a handle gives a new ID",
		session, "TestLogin_EveryCallMayFail",
		edit("fibersession/user.go", "if err := h.Regenerate(ctx); err != nil {", "if err := h.Err(); err != nil {"),
	},
	{
		[]string{"5"}, "the old ID stops working",
		session, "TestN5_Regenerate",
		edit("fibersession/state_regenerate.go", "if err = c.forwardOldKey(from, cur, note, noteTTL); err != nil {", "if _, _ = note, noteTTL; err != nil {"),
	},
	{
		[]string{"5"}, "a new ID keeps what others saved meanwhile",
		session, "TestN5_RegenerateKeepsASaveInBetween",
		edit("fibersession/state_regenerate.go", "_, err = s.store.storage.CompareAndSwap(c.ctx, from.key, cur.rev, note, ttl)", "err = s.store.storage.Set(from.key, note, ttl)"),
	},
	{
		[]string{"5"}, "OnRegenerate decides about open sockets",
		bridge, "TestN5_PolicyOnNewID",
		edit("socketbridge/socket_life.go", "\t\t_ = s.sessionRegenerated()\n", ""),
	},
	{
		[]string{"5"}, "a connection from before the new ID is refused",
		bridge, "TestN5_PolicyOnNewID",
		edit("socketbridge/packet_session.go", "return s.sessionRegenerated()", "return nil"),
	},
	{
		[]string{"6", "D4", "D5", "CVE-2025-46336", "CVE-2025-32441"}, "a save does not revive an ended session",
		session, "TestD4_ReadOnlyRequestAcrossLogout",
		edit("fibersession/state_commit.go", "next.rev, err = s.store.storage.CompareAndSwap(c.ctx, at.key, cur.rev, data, ttl)", "err = s.store.storage.Set(at.key, data, ttl)"),
	},
	{
		[]string{"6"}, "a creation without an answer is not repeated",
		session, "TestN12_UnconfirmedCreation_DestroyedElsewhere",
		edit("fibersession/state_create.go", "c.s.setCreation(&creation{ttl})", "c.s.setCreation(nil)"),
	},
	{
		[]string{"6"}, "a creation that is under way is waited for",
		session, "TestN12_UnconfirmedCreation_StillUnderWay",
		edit("fibersession/state_create.go", "err := s.store.storage.Touch(c.ctx, at.key, made.ttl)", "err := storage.ErrNotFound"),
	},
	{
		[]string{"6", "CVE-2026-9162", "FG-IR-23-028"}, "a logout disconnects the session's sockets",
		bridge, "TestB4_LogoutDisconnectsEverySocket",
		edit("socketbridge/socket_life.go", "\t\ts.sessionEnded(e.Cause)\n", ""),
	},
	{
		[]string{"6"}, "no handler runs for an ended session",
		bridge, "TestInFlight_BetweenMiddlewaresAndListeners",
		edit("socketbridge/packet_session.go", "if err := s.session.Err(); err != nil {", "if err := s.session.Err(); err != nil && false {"),
	},
	{
		[]string{"7", "CVE-2026-44553"}, "the session is read again before each event",
		bridge, "TestReload_HowOftenTheStoreIsAsked",
		edit("socketbridge/packet_session.go", "if s.mode == SessionPerPacket {", "if false {"),
	},
	{
		[]string{"8"}, "a gap of the feed has all watched sessions read",
		session, "TestFeed_GapRereadsAllWatched",
		edit("fibersession/track.go", "\t\tt.generation.Add(1)\n", ""),
	},
	{
		[]string{"8"}, "watched sessions are checked again and again",
		session, "TestFeed_RecheckFindsLostChanges",
		edit("fibersession/track_recheck.go", "t.goroutines.Go(func() { t.recheckShard(shard) })", "_ = shard"),
	},
	{
		[]string{"8"}, "a feed that lags is not trusted",
		session, "TestTracked_AsksOnlyWhenItMust",
		edit("fibersession/track_freshness.go", "return known && lag <= t.store.Config.Tracking.MaxLag", "return known"),
	},
	{
		[]string{"8"}, "a feed without an answer is dead",
		"./storage/redis", "TestFeedFindsADeadConnection",
		edit("storage/redis/feed.go", "dead = p.silentTicks >= ticksPerSilence", "dead = false"),
	},
	{
		[]string{"9", "CVE-2019-16782"}, "keys of the store are hashes of IDs",
		session, "TestN6_NoIDAnywhere",
		edit("fibersession/layout_sealed.go", "\tp.id = id\n", "\tp.id, p.key = id, l.prefix+id\n"),
	},
	{
		[]string{"9"}, "a handle prints no ID",
		session, "TestN6_NoIDAnywhere",
		edit("fibersession/redact.go", "{ _, _ = io.WriteString(f, h.String()) }", "{ _, _ = io.WriteString(f, h.ID()) }"),
	},
	{
		[]string{"9"}, "a session prints no ID",
		session, "TestN6_NoIDAnywhere",
		edit("fibersession/redact.go", "{ _, _ = io.WriteString(f, s.String()) }", "{ _, _ = io.WriteString(f, s.ID()) }"),
	},
	{
		[]string{"9"}, "errors of the store do not tell its keys",
		session, "TestN6_ErrorsOfTheStoreDoNotNameItsKeys",
		edit("fibersession/errors.go", `strings.ReplaceAll(text, e.key, "(key)")`, `strings.ReplaceAll(text, e.key, e.key)`),
	},
	{
		[]string{"9"}, "pseudonyms for different uses are unrelated",
		session, "TestPseudonym",
		edit("fibersession/handle.go", "\tmac.Write([]byte(label))\n", "\t_ = label\n"),
	},
	{
		[]string{"9"}, "rooms of a session are not named by its ID",
		bridge, "TestN6_TheIDIsInTheCookieAlone",
		edit("socketbridge/room_names.go", `"session:" + ref.Pseudonym("room")`, `"session:" + ref.(interface{ ID() string }).ID()`),
	},
	{
		[]string{"9", "Phoenix 1.9"}, "handshakes hold no session cookie",
		engine, "TestHandshake_Snapshot",
		edit("socketbridge/engineio/handshake_snapshot.go", "if !isSecret(s.hooks.SessionCookie, k) {", "if true {"),
	},
	{
		[]string{"9"}, "logs do not tell connection IDs",
		engine, "TestLogsDoNotTellIDs",
		edit("socketbridge/engineio/notices.go", "return slog.StringValue(c.request.handshake().RemoteIP)", "return slog.StringValue(c.id)"),
	},
	{
		[]string{"10"}, "errors of handlers stay on the server",
		bridge, "TestErrorsAreAnswered",
		edit("socketbridge/packet_ack.go", "\te := clientError(err)\n", "\te := &EventError{Code: CodeInternal, Message: err.Error()}\n"),
	},
	{
		[]string{"10", "Action Cable"}, "errors of connect middlewares stay on the server",
		bridge, "TestConnectMiddlewares",
		edit("socketbridge/connect.go", `return &ConnectError{Message: "Forbidden", Data:`, `return &ConnectError{Message: err.Error(), Data:`),
	},
}
