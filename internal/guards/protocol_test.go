package guards_test

import "github.com/fiberbridge/fiberbridge/internal/mutant"

// ofProtocol are the guards of docs/security.md, rows 34 to 42, and 62.
var ofProtocol = []guard{
	{
		rows: []string{"34"}, name: "an unsolicited acknowledgement is ignored",
		pkg: "./socketbridge", test: "TestProtocolViolations",
		edits: []mutant.Edit{{File: "socketbridge/ack.go", Old: "if w == nil {\n\t\treturn false\n\t}\n\tdelete", New: "delete"}},
	},
	{
		rows: []string{"34"}, name: "an acknowledgement counts once",
		pkg: "./socketbridge", test: "TestBroadcast_AnswersCountOnce",
		edits: []mutant.Edit{{File: "socketbridge/ack.go", Old: "\tdelete(a.waiting, id)\n\tw.deliver(r)\n\treturn true", New: "\tw.deliver(r)\n\treturn true"}},
	},
	{
		rows: []string{"34"}, name: "the awaited acknowledgements of a socket are limited",
		pkg: "./socketbridge", test: "TestEmitWithAck",
		edits: []mutant.Edit{{File: "socketbridge/ack.go", Old: "len(a.waiting)+a.queued >= limit", New: "limit < 0"}},
	},
	{
		rows: []string{"34", "37aad114"}, name: "a timeout frees the awaited acknowledgement",
		pkg: "./socketbridge", test: "TestEmitWithAck",
		edits: []mutant.Edit{{File: "socketbridge/ack.go", Old: "if !s.acks.remove(id) { // the", New: "if len(ch) > 0 { // the"}},
	},
	{
		rows: []string{"34"}, name: "an acknowledgement is awaited for 30 s",
		pkg: "./socketbridge", test: "TestEmitWithAck",
		edits: []mutant.Edit{{File: "socketbridge/ack.go", Old: "timeout = def\n", New: "return ctx, func() {}\n"}},
	},
	{
		rows: []string{"34"}, name: "a client's acknowledgement is answered once",
		pkg: "./socketbridge", test: "TestAckToClient",
		edits: []mutant.Edit{{File: "socketbridge/packet_ack.go", Old: "if a.given {\n\t\treturn false, nil, nil, ErrAcked", New: "if a.given && a.failed != nil {\n\t\treturn false, nil, nil, ErrAcked"}},
	},
	{
		rows: []string{"35"}, name: "a namespace that the app does not have is refused",
		pkg: "./socketbridge", test: "TestNamesOfClientsAreNotKept",
		edits: []mutant.Edit{{File: "socketbridge/namespace_pattern.go", Old: "if i < 0 {\n\t\t\treturn nil, nil", New: "if i < 0 {\n\t\t\treturn s.Of(name), nil"}},
	},
	{
		rows: []string{"35"}, name: "a client can be in 64 namespaces",
		pkg: "./socketbridge", test: "TestProtocolViolations",
		edits: []mutant.Edit{{File: "socketbridge/client.go", Old: "len(c.sockets) >= maxNamespaces || ", New: ""}},
	},
	{
		rows: []string{"35"}, name: "a packet before CONNECT closes the connection",
		pkg: "./socketbridge", test: "TestProtocolViolations",
		edits: []mutant.Edit{{File: "socketbridge/client.go", Old: "case kicked || c.plain != nil:", New: "default:"}, {File: "socketbridge/client.go", Old: "default:\n\t\treturn nil, fmt.Errorf(\"%w: packet for", New: "case kicked:\n\t\treturn nil, fmt.Errorf(\"%w: packet for"}},
	},
	{
		rows: []string{"35"}, name: "a second CONNECT is refused",
		pkg: "./socketbridge", test: "TestProtocolViolations",
		edits: []mutant.Edit{{File: "socketbridge/client.go", Old: "if c.socketIn(p.Namespace) != nil {", New: "if c.ended {"}},
	},
	{
		rows: []string{"35"}, name: "an event before the answer to CONNECT closes the connection",
		pkg: "./socketbridge", test: "TestProtocolViolations",
		edits: []mutant.Edit{{File: "socketbridge/socket.go", Old: "s.currentState() == connecting && s.client.plain == nil", New: "s.currentState() == ended+1"}},
	},
	{
		rows: []string{"35", "40"}, name: "a namespace's name has at most 256 bytes",
		pkg: "./socketbridge/internal/siopacket", test: "TestLimitsAreExact",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "if end > d.Limits.namespace() {", New: "if end > longest {"}},
	},
	{
		rows: []string{"36"}, name: "a room's name has at most 256 bytes",
		pkg: "./socketbridge", test: "TestRoomNames",
		edits: []mutant.Edit{{File: "socketbridge/room_names.go", Old: "len(name) > maxRoomName || ", New: ""}},
	},
	{
		rows: []string{"36"}, name: "a socket can be in 1,000 rooms",
		pkg: "./socketbridge", test: "TestRoomNames",
		edits: []mutant.Edit{{File: "socketbridge/rooms.go", Old: "if len(s.joined.list)-s.joined.reserved+more > limit {", New: "if more > limit {"}},
	},
	{
		rows: []string{"36"}, name: "the bridge's own rooms cannot be joined",
		pkg: "./socketbridge", test: "TestRoomNames",
		edits: []mutant.Edit{{File: "socketbridge/room_names.go", Old: "|| isReserved(name) || !utf8", New: "|| !utf8"}},
	},
	{
		rows: []string{"36"}, name: "the bridge's own rooms cannot be left",
		pkg: "./socketbridge", test: "TestS2_ReservedRooms",
		edits: []mutant.Edit{{File: "socketbridge/socket.go", Old: "s.ns.rooms.leave(s, app)", New: "s.ns.rooms.leave(s, rooms)"}},
	},
	{
		rows: []string{"36", "CVE-2026-8469"}, name: "an empty room is removed",
		pkg: "./socketbridge", test: "TestRoomNames",
		edits: []mutant.Edit{{File: "socketbridge/rooms.go", Old: "\t\tdelete(r.members, rm.name)\n", New: ""}},
	},
	{
		rows: []string{"37", "CVE-2026-33151"}, name: "a packet has at most 10 attachments",
		pkg: "./socketbridge/internal/siopacket", test: "TestLimitsAreExact",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "if attachments > d.Limits.attachments() {", New: "if attachments < 0 {"}},
	},
	{
		rows: []string{"37", "CVE-2026-33151"}, name: "at most 1,000 attachments are dropped",
		pkg: "./socketbridge/internal/siopacket", test: "TestTextRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "n > maxSkippedAttachments {", New: "n < 0 {"}},
	},
	{
		rows: []string{"37"}, name: "the attachments of a refused packet are dropped",
		pkg: "./socketbridge/internal/siopacket", test: "TestS2_DecoderGoesOnAfterALimit",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "\t\td.skip = attachments\n", New: ""}},
	},
	{
		rows: []string{"37", "CVE-2026-69185"}, name: "a binary packet needs an attachment",
		pkg: "./socketbridge/internal/siopacket", test: "TestTextRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "i == 0 || data[0] == '0' || i", New: "i == 0 || i"}},
	},
	{
		rows: []string{"37", "CVE-2026-69185"}, name: "an attachment without a packet is refused",
		pkg: "./socketbridge/internal/siopacket", test: "TestMessagesOutOfTurn",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "return Packet{}, false, errUnexpectedAttachment", New: "return Packet{}, false, nil"}},
	},
	{
		rows: []string{"37"}, name: "no message may arrive between attachments",
		pkg: "./socketbridge/internal/siopacket", test: "TestMessagesOutOfTurn",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "return Packet{}, false, errTextBeforeAttachments", New: "_ = errTextBeforeAttachments"}},
	},
	{
		rows: []string{"37", "CVE-2026-48804"}, name: "the attachments of a packet are limited in bytes",
		pkg: "./socketbridge/internal/siopacket", test: "TestLimitsAreExact",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "w.bytes > d.Limits.attachmentBytes() {", New: "w.bytes < 0 {"}},
	},
	{
		rows: []string{"37", "CVE-2026-48804", "CVE-2026-26130"}, name: "attachments must arrive within 10 s",
		pkg: "./socketbridge", test: "TestTimeouts",
		edits: []mutant.Edit{{File: "socketbridge/client.go", Old: "c.report(&attachmentsNotice, \"\")\n\t\t\tc.conn.Close(transport.ParseError)", New: "c.report(&attachmentsNotice, \"\")"}},
	},
	{
		rows: []string{"37", "CVE-2022-2421"}, name: "each attachment has a placeholder",
		pkg: "./socketbridge/internal/siopacket", test: "TestTextRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "if len(s.found) != attachments {", New: "if len(s.found) > attachments {"}},
	},
	{
		rows: []string{"37", "CVE-2022-2421"}, name: "a placeholder names an attachment that exists",
		pkg: "./socketbridge/internal/siopacket", test: "TestTextRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/json_scan.go", Old: "if num >= s.attachments {", New: "if num < 0 {"}},
	},
	{
		rows: []string{"37", "CVE-2022-2421"}, name: "a placeholder's number is a number",
		pkg: "./socketbridge/internal/siopacket", test: "TestTextRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/json_scan.go", Old: "if !isDigit(c) {\n\t\t\treturn errPlaceholder", New: "if !isDigit(c) {\n\t\t\tcontinue"}},
	},
	{
		rows: []string{"37"}, name: "each placeholder occurs once",
		pkg: "./socketbridge/internal/siopacket", test: "TestTextRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/json_scan.go", Old: "if p.num == num {", New: "if p.num < 0 {"}},
	},
	{
		rows: []string{"38", "CVE-2026-45591"}, name: "JSON is at most 128 levels deep",
		pkg: "./socketbridge/internal/siopacket", test: "TestLimitsAreExact",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "maxDepth: d.Limits.depth()", New: "maxDepth: 1 << 20"}},
	},
	{
		rows: []string{"38"}, name: "an event has at most 64 arguments",
		pkg: "./socketbridge/internal/siopacket", test: "TestLimitsAreExact",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "if p.args > d.Limits.args() {", New: "if p.args < 0 {"}},
	},
	{
		rows: []string{"38", "CVE-2026-45591"}, name: "MessagePack is at most 1,000 levels deep",
		pkg: "./socketbridge/internal/msgpack", test: "TestS2_DecodePacketRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/msgpack/json.go", Old: "if depth > r.limits.MaxDepth {", New: "if depth < 0 {"}},
	},
	{
		rows: []string{"38"}, name: "MessagePack's JSON is limited in bytes",
		pkg: "./socketbridge/internal/msgpack", test: "TestS2_DecodePacketRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/msgpack/json.go", Old: "if r.limits.MaxText > 0 && len(r.out) > r.limits.MaxText {", New: "if r.limits.MaxText < 0 {"}},
	},
	{
		rows: []string{"38", "CVE-2026-32284"}, name: "truncated MessagePack is an error",
		pkg: "./socketbridge/internal/msgpack", test: "TestJSONRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/msgpack/json.go", Old: "if n > uint64(len(r.data)-r.pos) {", New: "if n > uint64(len(r.data)) {"}},
	},
	{
		rows: []string{"39"}, name: "text of a WebSocket must be UTF-8",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Frames",
		edits: []mutant.Edit{{File: "socketbridge/internal/wsframe/decoder.go", Old: "if h.Op == Text && !utf8.Valid(payload) {", New: "if h.Op == Close && !utf8.Valid(payload) {"}},
	},
	{
		rows: []string{"39"}, name: "text in fragments must be UTF-8",
		pkg: "./socketbridge/internal/wsframe", test: "TestDecoder",
		edits: []mutant.Edit{{File: "socketbridge/internal/wsframe/decoder.go", Old: "if p.op == Text && !p.text.add(payload, h.Fin) {", New: "if p.op == Close {"}},
	},
	{
		rows: []string{"39"}, name: "a polling body must be UTF-8",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Bodies",
		edits: []mutant.Edit{{File: "socketbridge/engineio/polling.go", Old: "if !utf8.Valid(body) || eio", New: "if !utf8.Valid(nil) || eio"}},
	},
	{
		rows: []string{"40"}, name: "an event's name has at most 256 bytes",
		pkg: "./socketbridge/internal/siopacket", test: "TestLimitsAreExact",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "if len(name) > limit {\n", New: "if len(name) < 0 {\n"}},
	},
	{
		rows: []string{"40", "CVE-2024-38355"}, name: "a client cannot send reserved events",
		pkg: "./socketbridge", test: "TestProtocolViolations",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "return nil, errReserved", New: "_ = errReserved"}},
	},
	{
		rows: []string{"40"}, name: "the server cannot send reserved events",
		pkg: "./socketbridge", test: "TestEmitWithAck",
		edits: []mutant.Edit{{File: "socketbridge/encode.go", Old: "if siopacket.Reserved(event) {", New: "if event == \"\" && siopacket.Reserved(event) {"}},
	},
	{
		rows: []string{"40", "CVE-2023-32695", "CVE-2023-30591"}, name: "an event's name is a string or a number",
		pkg: "./socketbridge/internal/siopacket", test: "TestTextRefused",
		edits: []mutant.Edit{{File: "socketbridge/internal/siopacket/decode.go", Old: "\tdefault:\n\t\treturn nil, errEventName\n", New: "\tdefault:\n\t\tname = data[start : start+1]\n"}},
	},
	{
		rows: []string{"41", "CVE-2026-32689"}, name: "a polling body has at most 10,000 packets",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Bodies",
		edits: []mutant.Edit{{File: "socketbridge/engineio/polling.go", Old: "|| eiopacket.Count(body) > c.server.cfg.Limits.MaxPollPackets", New: "|| eiopacket.Count(body) < 0"}},
	},
	{
		rows: []string{"41", "CVE-2026-32689"}, name: "the packets of a body are read one by one",
		pkg: "./socketbridge/internal/eiopacket", test: "TestPayload_SeparatorsCostNothing",
		edits: []mutant.Edit{{File: "socketbridge/internal/eiopacket/packet.go", Old: "\t\tvar scratch []byte\n\t\tfor {", New: "\t\tvar scratch []byte\n\t\tfor _, part := range bytes.Split(body, []byte{Separator}) {\n\t\t\tdefer bytes.Clone(part)"}},
	},
	{
		rows: []string{"41"}, name: "the first error of a body ends it",
		pkg: "./socketbridge/internal/eiopacket", test: "TestPayload_StopsAtTheFirstError",
		edits: []mutant.Edit{{File: "socketbridge/internal/eiopacket/packet.go", Old: "!yield(p, err) || err != nil || !more", New: "!yield(p, err) || !more"}},
	},
	{
		rows: []string{"42", "CVE-2023-31125"}, name: "a transport that the server does not offer is refused",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Requests",
		edits: []mutant.Edit{{File: "socketbridge/engineio/handler.go", Old: "case !s.offers(q.transport):", New: "case q.transport == \"\":"}},
	},
	{
		rows: []string{"42"}, name: "another version of the protocol is refused",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Requests",
		edits: []mutant.Edit{{File: "socketbridge/engineio/handler.go", Old: "case eio != \"4\":", New: "case eio == \"\":"}},
	},
	{
		rows: []string{"42", "CVE-2023-31125"}, name: "a parameter may occur once",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Requests",
		edits: []mutant.Edit{{File: "socketbridge/engineio/handler.go", Old: "malformed = malformed || *flag", New: "_ = *flag"}},
	},
	{
		rows: []string{"42", "GHSA-gr94-w7qr-f4j3"}, name: "an empty connection ID is refused",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Requests",
		edits: []mutant.Edit{{File: "socketbridge/engineio/handler.go", Old: "\t\t\tmalformed = malformed || value == \"\"\n", New: ""}},
	},
	{
		rows: []string{"42", "GHSA-gr94-w7qr-f4j3"}, name: "an unknown connection ID is refused",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Requests",
		edits: []mutant.Edit{{File: "socketbridge/engineio/handler.go", Old: "if conn == nil {\n\t\treturn sendError(c, ErrUnknownSID)", New: "if conn == nil {\n\t\treturn s.handshake(c, q.transport)"}},
	},
	{
		rows: []string{"42"}, name: "JSONP is refused",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Requests",
		edits: []mutant.Edit{{File: "socketbridge/engineio/handler.go", Old: "\t\t\tmalformed = true\n", New: ""}},
	},
	{
		rows: []string{"42"}, name: "a handshake is a GET",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Requests",
		edits: []mutant.Edit{{File: "socketbridge/engineio/handshake.go", Old: "if c.Method() != fiber.MethodGet {", New: "if c.Method() == fiber.MethodOptions {"}},
	},
	{
		rows: []string{"42"}, name: "an upgrade needs a key of 16 bytes",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Upgrades",
		edits: []mutant.Edit{{File: "socketbridge/engineio/websocket_handshake.go", Old: "err != nil || len(nonce) != 16 {", New: "err != nil && len(nonce) > 16 {"}},
	},
	{
		rows: []string{"42"}, name: "an upgrade needs version 13",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Upgrades",
		edits: []mutant.Edit{{File: "socketbridge/engineio/websocket_handshake.go", Old: "case len(versions) != 1 || versions[0] != \"13\":", New: "case len(versions) > 1:"}},
	},
	{
		rows: []string{"62", "CVE-2026-8469"}, name: "the namespaces of patterns are limited",
		pkg: "./socketbridge", test: "TestS2_ChildrenAreBounded",
		edits: []mutant.Edit{{File: "socketbridge/namespace_pattern.go", Old: "limit >= 0 && s.children >= limit", New: "limit >= 0 && s.children < 0"}},
	},
	{
		rows: []string{"62", "CVE-2026-8469"}, name: "an empty namespace of a pattern is removed",
		pkg: "./socketbridge", test: "TestS2_EmptyChildrenAreRemoved",
		edits: []mutant.Edit{{File: "socketbridge/namespace_pattern.go", Old: "\tdelete(s.namespaces, n.name)\n\ts.children--\n", New: ""}},
	},
	{
		rows: []string{"62"}, name: "a pattern must match the whole name",
		pkg: "./socketbridge", test: "TestS2_PatternsMatch",
		edits: []mutant.Edit{{File: "socketbridge/namespace_pattern.go", Old: "`\\A(?:` + re.String() + `)\\z`", New: "re.String()"}},
	},
	{
		rows: []string{"62"}, name: "a namespace of a pattern has a valid name",
		pkg: "./socketbridge", test: "TestS2_PatternsMatch",
		edits: []mutant.Edit{{File: "socketbridge/namespace_pattern.go", Old: "if _, err := namespaceName(name); err != nil {", New: "if name == \"\" {"}},
	},

	// Frames and headers, whose advisories have no row of their own.
	{
		rows: []string{"CVE-2022-21676", "CVE-2026-27571", "D11"}, name: "a reserved bit, such as that of compression, is refused",
		pkg: "./socketbridge/internal/wsframe", test: "TestDecoder",
		edits: []mutant.Edit{{File: "socketbridge/internal/wsframe/frame.go", Old: "if b[0]&0x70 != 0 {", New: "if b[0]&0x70 == 0xff {"}},
	},
	{
		rows: []string{"CVE-2022-21676"}, name: "a reserved opcode is refused",
		pkg: "./socketbridge/internal/wsframe", test: "TestDecoder",
		edits: []mutant.Edit{{File: "socketbridge/internal/wsframe/frame.go", Old: "\t\treturn h, 0, protocolError(\"reserved opcode\")\n", New: "\t\t_ = protocolError\n"}},
	},
	{
		rows: []string{"CVE-2020-27813", "CVE-2026-1528", "CVE-2020-13935", "CVE-2026-27889"}, name: "a length of 2^63 is refused",
		pkg: "./socketbridge/internal/wsframe", test: "TestDecoder",
		edits: []mutant.Edit{{File: "socketbridge/internal/wsframe/frame.go", Old: "if length>>63 != 0 {", New: "if length == 0 {"}},
	},
	{
		rows: []string{"CVE-2026-48779"}, name: "the fragments of a message are limited in number",
		pkg: "./socketbridge/internal/wsframe", test: "TestDecoder",
		edits: []mutant.Edit{{File: "socketbridge/internal/wsframe/decoder.go", Old: "if d.partial.fragments >= maxFragments {", New: "if d.partial.fragments < 0 {"}},
	},
	{
		rows: []string{"CVE-2026-42786", "CVE-2016-10542"}, name: "the fragments of a message are limited in bytes together",
		pkg: "./socketbridge/internal/wsframe", test: "TestDecoder",
		edits: []mutant.Edit{{File: "socketbridge/internal/wsframe/decoder.go", Old: "\t\tjoined = len(d.partial.joined)\n", New: ""}},
	},
	{
		rows: []string{"CVE-2016-10518", "CVE-2026-45736"}, name: "a ping is answered with a copy of its payload",
		pkg: "./socketbridge/engineio", test: "TestWebSocket_PongsWaitWithTheirPayload",
		edits: []mutant.Edit{{File: "socketbridge/engineio/websocket.go", Old: "data: append([]byte(nil), m.Data...)})", New: "data: m.Data})"}},
	},
	{
		rows: []string{"GHSA-5v72-xg48-5rpm", "CVE-2021-32640"}, name: "a subprotocol that is no token is ignored",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Upgrades",
		edits: []mutant.Edit{{File: "socketbridge/engineio/websocket_handshake.go", Old: "isToken(p) && len(p) <= 128", New: "p != \"\""}},
	},
	{
		rows: []string{"42", "CVE-2026-42554"}, name: "a refusal is no page",
		pkg: "./socketbridge/engineio", test: "TestRefuse_Requests",
		edits: []mutant.Edit{{File: "socketbridge/engineio/origin_guard.go", Old: "\tc.Set(fiber.HeaderXContentTypeOptions, \"nosniff\")\n", New: ""}},
	},
}
