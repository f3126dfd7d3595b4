// Package client contains a small client for web pages: one ES module without
// dependencies. The server serves it next to its sockets, so that a page needs no other
// host.
//
//	<script type="module">
//	import { connect } from "/socket.io/fiberbridge.mjs";
//	const socket = connect();
//	socket.on("count", (n) => { document.title = n; });
//	await socket.emitWithAck("incr", 1);
//	</script>
//
// It speaks Engine.IO 4 and Socket.IO 5, like the official client. The official client
// works with the same servers and has more features: upgrades from polling, more
// transports, older browsers. The top of fiberbridge.mjs lists the differences.
//
// fiberbridge.d.mts has its types for pages that TypeScript checks, and takes those that
// `fiberbridge gen ts` writes.
//
// For pages that cannot send the session cookie, connectWithSession fetches a ticket
// before each connect, and sessionAuth does the same for the official client
// (session.mjs). Classic is the same client for pages without modules; it defines the
// global fiberbridge.
package client

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the sources
	"encoding/base64"
	"regexp"
	"strings"
)

var (
	//go:embed fiberbridge.mjs
	core []byte
	//go:embed session.mjs
	session []byte
)

// Script is the client as an ES module, to be served as text/javascript. It must not be
// modified.
var Script = module()

// Classic is the client for a <script> without type="module". It must not be modified.
var Classic = classic(Script)

// Hash identifies this version of Script, and ClassicHash that of Classic: 16 characters,
// for use in a URL whose content never changes.
var (
	Hash        = hash(Script)
	ClassicHash = hash(Classic)
)

// ETag identifies this version of Script, quoted as in the HTTP header (RFC 9110, section
// 8.8.3), and ClassicETag that of Classic.
var (
	ETag        = `"` + Hash + `"`
	ClassicETag = `"` + ClassicHash + `"`
)

// module joins the two sources, without the second one's import of the first.
func module() []byte {
	rest := regexp.MustCompile(`(?m)^import .* from "\./fiberbridge\.mjs";\n`).ReplaceAll(session, nil)
	return append(append(bytes.Clone(core), "\n// ---- session.mjs ----\n\n"...), rest...)
}

var exported = regexp.MustCompile(`(?m)^export ((?:async )?(?:function|class|const) (\w+))`)

// classic wraps a module in a function and assigns its exports to a global.
func classic(module []byte) []byte {
	var names []string
	for _, match := range exported.FindAllSubmatch(module, -1) {
		names = append(names, string(match[2]))
	}
	body := exported.ReplaceAll(module, []byte("$1"))
	body = bytes.ReplaceAll(body, []byte("import.meta.url"), []byte("globalThis.document?.currentScript?.src"))
	return append(append([]byte("var fiberbridge = (() => {\n\"use strict\";\n"), body...),
		"return { "+strings.Join(names, ", ")+" };\n})();\n"...)
}

func hash(script []byte) string {
	sum := sha256.Sum256(script)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
