// Package msgpack converts between JSON text with binary attachments, the form of a
// Socket.IO payload, and MessagePack, which Socket.IO servers for Node exchange
// through Redis.
//
//	data, err := msgpack.Append(nil, []byte(`["e",{"_placeholder":true,"num":0}]`), [][]byte{blob})
//	text, attachments, err := msgpack.JSON(data, msgpack.Limits{})
//
// Append (append.go) converts JSON to MessagePack, JSON (json.go) converts back.
// DecodePacket and AppendPacket (packet.go) do the same for whole packets of
// socket.io-msgpack-parser, whose clients send each packet as one binary message.
//
// The conversion does not decode into Go values, so keys keep their order and numbers
// their precision. Append writes the same bytes as notepack.io for the same value, and
// JSON reads everything that notepack.io writes. The input of both may come from the
// network: they never panic, and they bound depth, count and size.
package msgpack
