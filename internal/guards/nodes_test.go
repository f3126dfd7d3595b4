package guards_test

import "github.com/fiberbridge/fiberbridge/internal/mutant"

// ofNodes are the guards of docs/security.md, rows 19 to 24, 43 to 45, and 67.
var ofNodes = []guard{
	{
		rows: []string{"19", "CVE-2019-16782"}, name: "keys are hashes of IDs",
		pkg: "./fibersession", test: "TestN6_NoIDAnywhere",
		edits: []mutant.Edit{{File: "fibersession/layout_sealed.go", Old: "p.id = id\n", New: "p.id, p.key = id, l.prefix+id\n"}},
	},
	{
		rows: []string{"19", "9"}, name: "a printed session does not show its ID",
		pkg: "./fibersession", test: "TestN6_NoIDAnywhere",
		edits: []mutant.Edit{{File: "fibersession/redact.go", Old: `"session(" + h.Pseudonym("log") + ")"`, New: `"session(" + h.ID() + ")"`}},
	},
	{
		rows: []string{"20"}, name: "a session has at most 64 KiB",
		pkg: "./fibersession", test: "TestLimits",
		edits: []mutant.Edit{
			{File: "fibersession/layout_sealed.go", Old: "if len(data) > l.maxSize {", New: "if len(data) < 0 {"},
			{File: "fibersession/validate.go", Old: "if size > s.Config.Limits.MaxSize {", New: "if size < 0 {"},
		},
	},
	{
		rows: []string{"20"}, name: "a session has at most 128 keys",
		pkg: "./fibersession", test: "TestLimits",
		edits: []mutant.Edit{{File: "fibersession/state_changes.go", Old: "added > 0 && len(base)+added > maxKeys", New: "added < 0"}},
	},
	{
		rows: []string{"20"}, name: "a key has at most 256 bytes",
		pkg: "./fibersession", test: "TestLimits",
		edits: []mutant.Edit{{File: "fibersession/validate.go", Old: "if len(key) > maxKeyLength {", New: "if len(key) < 0 {"}},
	},
	{
		rows: []string{"21"}, name: "stored values have a bounded depth",
		pkg: "./fibersession/internal/codec", test: "TestTyped_RefusesHostileData",
		edits: []mutant.Edit{{File: "fibersession/internal/codec/typed_decode.go", Old: "if depth > maxDepth {", New: "if depth < 0 {"}},
	},
	{
		rows: []string{"21"}, name: "stored lengths are checked against the size",
		pkg: "./fibersession/internal/codec", test: "TestTyped_RefusesHostileData",
		edits: []mutant.Edit{{File: "fibersession/internal/codec/typed_decode.go", Old: "\td.budget -= int(n) * min\n", New: ""}},
	},
	{
		rows: []string{"21"}, name: "a stored value that is cut off is refused",
		pkg: "./fibersession/internal/codec", test: "TestTyped_EveryTruncation",
		edits: []mutant.Edit{{File: "fibersession/internal/codec/typed_decode.go", Old: "if n > uint64(len(d.buf)) {\n\t\treturn nil, fmt", New: "if n = min(n, uint64(len(d.buf))); n > 1<<40 {\n\t\treturn nil, fmt"}},
	},
	{
		rows: []string{"21"}, name: "JSON values have a bounded depth",
		pkg: "./fibersession/internal/codec", test: "TestJSON",
		edits: []mutant.Edit{{File: "fibersession/internal/codec/json.go", Old: "if err := checkJSONDepth(data); err != nil {\n", New: "if err := checkJSONDepth(nil); err != nil {\n"}},
	},
	{
		rows: []string{"21", "CVE-2022-30635", "CVE-2024-34156"}, name: "a gob stream has a bounded depth",
		pkg: "./fibersession/internal/codec", test: "TestF6_DecodeBuiltinRefuses",
		edits: []mutant.Edit{{File: "fibersession/internal/codec/gob_walk.go", Old: "if w.depth++; w.depth > maxGobDepth {", New: "if w.depth++; w.depth < 0 {"}},
	},
	{
		rows: []string{"21"}, name: "a gob stream is checked before it is decoded",
		pkg: "./fibersession/internal/codec", test: "TestTyped_RefusesHostileData",
		edits: []mutant.Edit{{File: "fibersession/internal/codec/gob.go", Old: "if err := checkGob(data); err != nil {\n\t\treturn nil, err\n\t}\n\tto", New: "to"}},
	},
	{
		rows: []string{"21"}, name: "gob decodes registered types only",
		pkg: "./fibersession/internal/codec", test: "TestTyped_RefusesHostileData",
		edits: []mutant.Edit{{File: "fibersession/internal/codec/gob.go", Old: "if typ = r.typeOf(name); typ == nil {", New: "if typ = r.typeOf(name); typ == nil {\n\t\t\treturn data, nil\n\t\t}\n\t\tif typ == nil {"}},
	},
	{
		rows: []string{"22", "CVE-2023-28858"}, name: "a value is bound to its ID",
		pkg: "./fibersession", test: "TestD6_SwappedValues",
		edits: []mutant.Edit{{File: "fibersession/layout_sealed.go", Old: "case e.owner != p.owner:", New: "case e.owner == fingerprint{}:"}},
	},
	{
		rows: []string{"22", "D6", "D9"}, name: "a value that is no session's is none",
		pkg: "./fibersession", test: "TestD6_D9_StoredValueIsNotTheSession",
		edits: []mutant.Edit{{File: "fibersession/state_commit.go", Old: "\t\t\ts.end(ErrCorrupt)\n", New: "\t\t\treturn err\n"}},
	},
	{
		rows: []string{"22", "D6"}, name: "keys have a prefix",
		pkg: "./fibersession", test: "TestN15_ResetClearsItsPrefixAlone",
		edits: []mutant.Edit{{File: "fibersession/layout_sealed.go", Old: "key: l.prefix + base64", New: "key: base64"}},
	},
	{
		rows: []string{"22", "CVE-2026-39324"}, name: "a value of another codec is no session",
		pkg: "./fibersession", test: "TestD6_D9_StoredValueIsNotTheSession",
		edits: []mutant.Edit{{File: "fibersession/layout_sealed.go", Old: "case e.codec != l.mark:", New: "case e.codec == 0 && l.mark != 0:"}},
	},
	{
		rows: []string{"22", "20"}, name: "a stored value over the size limit is no session",
		pkg: "./fibersession", test: "TestD6_D9_StoredValueIsNotTheSession",
		edits: []mutant.Edit{{File: "fibersession/layout_sealed.go", Old: "case len(e.payload) > l.maxSize:", New: "case len(e.payload) < 0:"}},
	},
	{
		rows: []string{"23", "D5", "D4"}, name: "a save is a compare-and-swap",
		pkg: "./fibersession", test: "TestN1_D5_DifferentKeysMerge",
		edits: []mutant.Edit{{File: "fibersession/state_commit.go", Old: "\t\tnext.rev, err = s.store.storage.CompareAndSwap(c.ctx, at.key, cur.rev, data, ttl)", New: "\t\titem, _ := s.store.storage.Load(c.ctx, at.key)\n\t\tnext.rev, err = s.store.storage.CompareAndSwap(c.ctx, at.key, item.Revision, data, ttl)"}},
	},
	{
		rows: []string{"23", "D5"}, name: "a save that met another's is tried again",
		pkg: "./fibersession", test: "TestN1_D5_DifferentKeysMerge",
		edits: []mutant.Edit{{File: "fibersession/state_commit.go", Old: "case !isConflict(err):", New: "case err != nil:"}},
	},
	{
		rows: []string{"23", "D5"}, name: "saves merge",
		pkg: "./fibersession", test: "TestN1_D5_DifferentKeysMerge",
		edits: []mutant.Edit{{File: "fibersession/state_changes.go", Old: "next := maps.Clone(base)\n", New: "next := maps.Clone(base)\n\tclear(next)\n"}},
	},
	{
		rows: []string{"23", "D5"}, name: "Update runs again after another's change",
		pkg: "./fibersession", test: "TestN1_NoLostUpdate",
		edits: []mutant.Edit{{File: "fibersession/state_commit.go", Old: "if o.tx != nil && s.isInvalidated(o.tx) {", New: "if o.tx != nil && o.tx.closed && o.ch == nil {"}},
	},
	{
		rows: []string{"24"}, name: "a call of the store waits 1 s at most",
		pkg: "./fibersession", test: "TestStore_Hangs",
		edits: []mutant.Edit{{File: "fibersession/context.go", Old: "s.deadlines.after(now, s.Config.Timeouts.Storage)", New: "s.deadlines.after(now, 2*s.Config.Timeouts.Storage)"}},
	},
	{
		rows: []string{"24"}, name: "what waited behind a call that timed out fails with it",
		pkg: "./fibersession", test: "TestStore_Hangs",
		edits: []mutant.Edit{{File: "fibersession/state_queue.go", Old: "for _, o := range s.pending {\n\t\t\to.err = errNotAnswering", New: "for _, o := range s.pending[len(s.pending):] {\n\t\t\to.err = errNotAnswering"}, {File: "fibersession/state_queue.go", Old: "\t\tbatch = append(batch, s.pending...)\n\t\ts.pending = nil\n", New: ""}},
	},
	{
		rows: []string{"24"}, name: "without the store there is no session",
		pkg: "./fibersession", test: "TestD8_RequestsWhenTheStoreFails",
		edits: []mutant.Edit{{File: "fibersession/state_commit.go", Old: "case errors.Is(err, storage.ErrNotFound):\n\t\t\terr = c", New: "case err != nil:\n\t\t\terr = c"}},
	},
	{
		rows: []string{"24", "D8"}, name: "a failed call releases the session",
		pkg: "./fibersession", test: "TestD8_EveryCallMayFail",
		edits: []mutant.Edit{{File: "fibersession/state_queue.go", Old: "\tdefer s.promote()\n", New: "\tdefer func() {\n\t\tif c.loadErr == nil {\n\t\t\ts.promote()\n\t\t}\n\t}()\n"}},
	},
	{
		rows: []string{"43"}, name: "recovery is off unless the app turns it on",
		pkg: "./socketbridge", test: "TestRecovery_OffByDefault",
		edits: []mutant.Edit{{File: "socketbridge/recovery_log.go", Old: "case s.recovery.cfg.Window == 0:", New: "case s.recovery.cfg.Window < 0:"}},
	},
	{
		rows: []string{"43"}, name: "recovery is bound to session and user",
		pkg: "./socketbridge", test: "TestRecovery_IsRefused",
		edits: []mutant.Edit{{File: "socketbridge/recovery_local.go", Old: "st.ns != ns || st.owner != o ||", New: "st.ns != ns ||"}, {File: "socketbridge/recovery_replay.go", Old: "if s.owner() != rec.restored.owner {", New: "if rec.restored.pid == \"\" {"}},
	},
	{
		rows: []string{"43", "skipMiddlewares"}, name: "the middlewares run again at a recovery",
		pkg: "./socketbridge", test: "TestRecovery_MiddlewaresRunAgain",
		edits: []mutant.Edit{{File: "socketbridge/socket_life.go", Old: "if err := c.run(); err != nil {", New: "if err := c.run(); err != nil && !s.Recovered() {"}},
	},
	{
		rows: []string{"43", "CVE-2026-56170"}, name: "the events kept for a session are limited",
		pkg: "./socketbridge", test: "TestRecovery_Limits",
		edits: []mutant.Edit{{File: "socketbridge/recovery_local.go", Old: "q.bytes > l.cfg.MaxBytesPerSession && len(q.positions) > 1", New: "q.bytes < 0"}},
	},
	{
		rows: []string{"43", "CVE-2026-56170"}, name: "the events kept by a node are limited",
		pkg: "./socketbridge", test: "TestRecovery_QuietClient",
		edits: []mutant.Edit{{File: "socketbridge/recovery_local.go", Old: " || l.logBytes.Load() > int64(l.cfg.MaxBytes))", New: ")"}},
	},
	{
		rows: []string{"43", "CVE-2026-56170"}, name: "the sockets kept by a node are limited",
		pkg: "./socketbridge", test: "TestRecovery_Limits",
		edits: []mutant.Edit{{File: "socketbridge/recovery_local.go", Old: "for len(m.byPID) > m.cfg.MaxSockets {", New: "for len(m.byPID) < 0 {"}},
	},
	{
		rows: []string{"43"}, name: "a state is recovered once",
		pkg: "./socketbridge", test: "TestRecovery_Window",
		edits: []mutant.Edit{{File: "socketbridge/recovery_local.go", Old: "\tm.remove(slices.Index(m.order, st))\n\treturn st\n", New: "\treturn st\n"}},
	},
	{
		rows: []string{"43"}, name: "an offset that the server did not send is refused",
		pkg: "./socketbridge", test: "TestRecovery_Limits",
		edits: []mutant.Edit{{File: "socketbridge/recovery_replay.go", Old: "if confirmed, ok = st.ns.recovery.parseOffset(offset); !ok {", New: "if confirmed, ok = st.ns.recovery.parseOffset(offset); !ok && confirmed > 0 {"}},
	},
	{
		rows: []string{"44"}, name: "a message needs the signature of a secret",
		pkg: "./socketbridge/redisadapter", test: "TestSign_EveryBitCounts",
		edits: []mutant.Edit{{File: "socketbridge/redisadapter/sign.go", Old: "return 0, errForged\n\t}\n\tage", New: "_ = errForged\n\t}\n\tage"}},
	},
	{
		rows: []string{"44"}, name: "an unsigned message is refused",
		pkg: "./socketbridge/redisadapter", test: "TestSign_EveryBitCounts",
		edits: []mutant.Edit{{File: "socketbridge/redisadapter/sign.go", Old: "if s.isOn() && !s.acceptUnsigned {", New: "if s.isOn() && s.acceptUnsigned {"}},
	},
	{
		rows: []string{"44"}, name: "a signature is valid in its own place",
		pkg: "./socketbridge/redisadapter", test: "TestSign_MessageCannotBeMoved",
		edits: []mutant.Edit{{File: "socketbridge/redisadapter/sign.go", Old: "b = append(append(b, place...), header...)", New: "b = append(append(b, place[:0]...), header...)"}, {File: "socketbridge/redisadapter/sign.go", Old: "b = binary.BigEndian.AppendUint64(b, uint64(len(place)))\n", New: ""}},
	},
	{
		rows: []string{"44"}, name: "a copy of a message is refused",
		pkg: "./socketbridge/redisadapter", test: "TestSign_CopiesAreRefused",
		edits: []mutant.Edit{{File: "socketbridge/redisadapter/sign_replay.go", Old: "return !inCurrent && !inPrevious", New: "return !inCurrent || !inPrevious"}},
	},
	{
		rows: []string{"44"}, name: "an old message is refused",
		pkg: "./socketbridge/redisadapter", test: "TestSign_CopiesAreRefused",
		edits: []mutant.Edit{{File: "socketbridge/redisadapter/sign.go", Old: "if age > maxAge || age < -maxAge {", New: "if age == maxAge+1 {"}},
	},
	{
		rows: []string{"44"}, name: "the memory for copies is limited",
		pkg: "./socketbridge/redisadapter", test: "TestSign_MemoryIsBounded",
		edits: []mutant.Edit{{File: "socketbridge/redisadapter/sign_replay.go", Old: " || len(r.current) >= maxRemembered {", New: " {"}},
	},
	{
		rows: []string{"44", "CVE-2025-61765", "CVE-2026-23524"}, name: "a message without an address is not one to all",
		pkg: "./socketbridge/redisadapter", test: "TestWireRefused",
		edits: []mutant.Edit{{File: "socketbridge/redisadapter/wire.go", Old: "return fmt.Errorf(\"%w: no options\", errMalformed)", New: "return nil"}},
	},
	{
		rows: []string{"44", "CVE-2025-61765", "CVE-2026-23524"}, name: "a message of another namespace is refused",
		pkg: "./socketbridge/redisadapter", test: "TestWireRefused",
		edits: []mutant.Edit{{File: "socketbridge/redisadapter/wire.go", Old: "p.NSP != nil && *p.NSP != m.Namespace:", New: "p.NSP != nil && *p.NSP == \"\":"}},
	},
	{
		rows: []string{"44", "CVE-2025-61765", "CVE-2026-23524"}, name: "a node checks what another node sends to clients",
		pkg: "./socketbridge", test: "TestCluster_MalformedMessages",
		edits: []mutant.Edit{{File: "socketbridge/cluster.go", Old: "if err != nil {\n\t\t\tc.logMalformed(m, err)\n\t\t\treturn err\n\t\t}\n\t\tns.recovery.deliver", New: "if err != nil {\n\t\t\tc.logMalformed(m, err)\n\t\t}\n\t\tns.recovery.deliver"}},
	},
	{
		rows: []string{"44"}, name: "other nodes learn no secret of a handshake",
		pkg: "./socketbridge", test: "TestCluster_DescriptionHoldsNoSecret",
		edits: []mutant.Edit{{File: "socketbridge/cluster_remote.go", Old: "\t\"Host\":            \"host\",\n", New: "\t\"Authorization\": \"authorization\",\n"}},
	},
	{
		rows: []string{"44", "5"}, name: "a notice of a session's change is not believed",
		pkg: "./fibersession", test: "TestFeed_ForgedNoticesAreNotBelieved",
		edits: []mutant.Edit{{File: "fibersession/track_apply.go", Old: "\ts.store.stats.notifications.Add(1)\n", New: "\ts.store.stats.notifications.Add(1)\n\tif c.Kind == storage.Removed {\n\t\ts.end(ErrDestroyed)\n\t}\n"}},
	},
	{
		rows: []string{"44"}, name: "false notices lead to 16 reads a second",
		pkg: "./fibersession", test: "TestFeed_FloodOfForgedNotices",
		edits: []mutant.Edit{{File: "fibersession/track_apply.go", Old: "if f == nil || f.n < noticeReads {", New: "if f == nil || f.n >= 0 {"}},
	},
	{
		rows: []string{"44"}, name: "a copied notice does not hide a true one",
		pkg: "./fibersession", test: "TestFeed_ForgedNoticeHidesNothing",
		edits: []mutant.Edit{{File: "fibersession/track.go", Old: "\t\theld.Item.Revision = storage.Absent // one read for both, whichever of them is true\n", New: ""}},
	},
	{
		rows: []string{"45"}, name: "rediss:// verifies the certificate",
		pkg: "./storage/redis", test: "TestTLS",
		edits: []mutant.Edit{{File: "storage/redis/url_tls.go", Old: "ServerName: option(\"tls_server_name\")}", New: "ServerName: option(\"tls_server_name\"), InsecureSkipVerify: true}"}},
	},
	{
		rows: []string{"45", "GHSA-q926"}, name: "a certificate that is not verified is warned of",
		pkg: "./storage/redis", test: "TestTLSByURL",
		edits: []mutant.Edit{{File: "storage/redis/redis.go", Old: "if cfg.TLSConfig != nil && cfg.TLSConfig.InsecureSkipVerify {", New: "if cfg.TLSConfig != nil && len(cfg.Addrs) == 0 {"}},
	},
	{
		rows: []string{"45"}, name: "an error contains no password",
		pkg: "./storage", test: "FuzzOpenKeepsThePassword",
		edits: []mutant.Edit{{File: "storage/open.go", Old: "text = strings.ReplaceAll(text, form, redacted)", New: "_ = form"}},
	},
	{
		rows: []string{"45"}, name: "an error contains no piece of a password",
		pkg: "./storage", test: "TestOpenWithholdsPiecesOfAPassword",
		edits: []mutant.Edit{{File: "storage/open.go", Old: "\t\t\t\t\treturn withheld\n", New: "\t\t\t\t\tbreak\n"}},
	},
	{
		rows: []string{"45"}, name: "an @ after the host is refused unread",
		pkg: "./storage/redis", test: "TestParseURLKeepsPiecesOfAPassword",
		edits: []mutant.Edit{{File: "storage/redis/url.go", Old: "if strings.Contains(tail, \"@\") {", New: "if strings.Contains(tail, \"@@@\") {"}},
	},
	{
		rows: []string{"45", "CVE-2025-29923"}, name: "a connection to Redis sends no CLIENT SETINFO",
		pkg: "./storage/redis", test: "TestClientOptions",
		edits: []mutant.Edit{{File: "storage/redis/client.go", Old: "\t\tDisableIdentity:          true,\n", New: ""}},
	},
	{
		rows: []string{"67"}, name: "a record of events belongs to one session",
		pkg: "./socketbridge", test: "TestM4_OffsetsBelongToTheirOwner",
		edits: []mutant.Edit{{File: "socketbridge/repeat_claim.go", Old: "owner = \"session\\x00\" + name", New: "owner = \"session\\x00\" + name[:0]"}},
	},
	{
		rows: []string{"67"}, name: "an offset belongs to its namespace",
		pkg: "./socketbridge", test: "TestM4_OffsetsBelongToTheirOwner",
		edits: []mutant.Edit{{File: "socketbridge/repeat_claim.go", Old: "sequence := s.ns.name + \"\\x00string", New: "sequence := \"\\x00string"}},
	},
	{
		rows: []string{"67"}, name: "an offset belongs to its event",
		pkg: "./socketbridge", test: "TestM4_LedgerClaims",
		edits: []mutant.Edit{{File: "socketbridge/repeat_ledger.go", Old: "case old.content != e.content:", New: "case old.content == eventHash{1}:"}},
	},
	{
		rows: []string{"67"}, name: "a record has at most 32 KiB of answers",
		pkg: "./socketbridge", test: "TestM4_RecordIsBounded",
		edits: []mutant.Edit{{File: "socketbridge/repeat_ledger.go", Old: " || size > maxLedgerAnswers; {", New: "; {"}},
	},
	{
		rows: []string{"67"}, name: "a record has at most 64 events",
		pkg: "./socketbridge", test: "TestM4_LedgerLimits",
		edits: []mutant.Edit{{File: "socketbridge/repeat_ledger.go", Old: "len(l.events) > maxLedgerEvents || size", New: "size"}},
	},
	{
		rows: []string{"67"}, name: "a record has at most 128 sequences",
		pkg: "./socketbridge", test: "TestM4_LedgerLimits",
		edits: []mutant.Edit{{File: "socketbridge/repeat_ledger.go", Old: "} else if len(l.sequences) >= maxSequences {", New: "} else if len(l.sequences) < 0 {"}},
	},
	{
		rows: []string{"67"}, name: "64 events of a session may run",
		pkg: "./socketbridge", test: "TestM4_LedgerLimits",
		edits: []mutant.Edit{{File: "socketbridge/repeat_ledger.go", Old: "if l.running() >= maxLedgerEvents {", New: "if l.running() < 0 {"}},
	},
	{
		rows: []string{"67"}, name: "a large answer is not kept",
		pkg: "./socketbridge", test: "TestM4_LedgerLimits",
		edits: []mutant.Edit{{File: "socketbridge/repeat_ledger.go", Old: "if a.size() > maxLedgerAnswer {", New: "if a.size() < 0 {"}},
	},
	{
		rows: []string{"67"}, name: "the records in memory are limited",
		pkg: "./socketbridge", test: "TestM4_MemoryLedgers",
		edits: []mutant.Edit{{File: "socketbridge/repeat_store.go", Old: "(m.size > maxMemoryLedgers || back", New: "(back"}},
	},
}
