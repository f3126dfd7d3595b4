// Package msgpack translates between JSON text with binary attachments, which is how
// Socket.IO writes what a packet carries, and MessagePack, which is how Socket.IO
// servers for Node send it to each other through Redis.
//
//	data, err := msgpack.Append(nil, []byte(`["e",{"_placeholder":true,"num":0}]`), [][]byte{blob})
//	text, attachments, err := msgpack.JSON(data, msgpack.Limits{})
//
// Nothing is decoded into Go values on the way: keys keep their order, and numbers
// what they are. What it writes is what notepack.io writes for the same value, and it
// reads everything that notepack.io writes. Its input comes from a network: it never
// panics, and bounds depth, count and size.
package msgpack
