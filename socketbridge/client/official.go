package client

import _ "embed" // for the builds

// OfficialVersion is the version of the npm package socket.io-client whose builds are in the
// folder official, with its license.
const OfficialVersion = "4.8.4"

var (
	//go:embed official/socket.io.js
	officialFull []byte
	//go:embed official/socket.io.min.js
	officialMin []byte
	//go:embed official/socket.io.esm.min.js
	officialModule []byte
	//go:embed official/socket.io.msgpack.min.js
	officialMsgpack []byte
)

// Official returns the builds of the official client by their file names: socket.io.js,
// socket.io.min.js, socket.io.esm.min.js and socket.io.msgpack.min.js. Their content must
// not be modified.
func Official() map[string][]byte {
	return map[string][]byte{
		"socket.io.js":             officialFull,
		"socket.io.min.js":         officialMin,
		"socket.io.esm.min.js":     officialModule,
		"socket.io.msgpack.min.js": officialMsgpack,
	}
}
