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
package client

import (
	"crypto/sha256"
	_ "embed" // for Script
	"encoding/base64"
)

// Script is the client: an ES module, to be served as text/javascript. It must
// not be changed.
//
//go:embed fiberbridge.mjs
var Script []byte

// ETag names this version of Script, quoted as the HTTP header wants it (RFC 9110,
// section 8.8.3).
var ETag = func() string {
	sum := sha256.Sum256(Script)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}()
