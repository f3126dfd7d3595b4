// Package client holds a small client for pages: one ES module without
// dependencies that a server can serve next to its sockets, so that a page works
// with no network beyond that server.
//
//	<script type="module">
//	import { connect } from "/socket.io/fiberbridge.mjs";
//	const socket = connect();
//	socket.on("count", (n) => { document.title = n; });
//	await socket.emitWithAck("incr", 1);
//	</script>
//
// It speaks Engine.IO 4 and Socket.IO 5, as the official client does, which works
// with the same servers and offers more: an upgrade from polling, several
// transports to choose from, older browsers. What differs is said at the top of
// fiberbridge.mjs.
//
// Where no cookie travels, connectWithSession fetches a ticket for each connect, and
// sessionAuth does so for the official client (session.mjs). Classic is the same for
// pages without modules: the functions are then in the global fiberbridge.
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

// Script is the client: an ES module, to be served as text/javascript. It must
// not be changed.
var Script = module()

// Classic is the client for a <script> without type="module". It must not be changed.
var Classic = classic(Script)

// Hash names this version of Script, and ClassicHash that of Classic: 16 characters
// for a URL that always means the same content.
var (
	Hash        = hash(Script)
	ClassicHash = hash(Classic)
)

// ETag names this version of Script, quoted as the HTTP header wants it (RFC 9110,
// section 8.8.3); ClassicETag that of Classic.
var (
	ETag        = `"` + Hash + `"`
	ClassicETag = `"` + ClassicHash + `"`
)

// module joins the sources: the second one without the line that imports the first.
func module() []byte {
	rest := regexp.MustCompile(`(?m)^import .* from "\./fiberbridge\.mjs";\n`).ReplaceAll(session, nil)
	return append(append(bytes.Clone(core), "\n// ---- session.mjs ----\n\n"...), rest...)
}

var exported = regexp.MustCompile(`(?m)^export ((?:async )?(?:function|class|const) (\w+))`)

// classic puts a module into a function, and what it exports into a global.
func classic(module []byte) []byte {
	var names []string
	for _, match := range exported.FindAllSubmatch(module, -1) {
		names = append(names, string(match[2]))
	}
	body := exported.ReplaceAll(module, []byte("$1"))
	return append(append([]byte("var fiberbridge = (() => {\n\"use strict\";\n"), body...),
		"return { "+strings.Join(names, ", ")+" };\n})();\n"...)
}

func hash(script []byte) string {
	sum := sha256.Sum256(script)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
