// Package httpbody bounds what the bodies of HTTP requests and responses cost on fasthttp.
//
//   - Budget reads request bodies that fasthttp streams. Memory grows with the bytes that
//     arrive, not with the length that the client announces, and all bodies together have a
//     limit.
//   - Send and Bound write a response whose client has to take something of it again and again.
//   - Ambiguous finds requests whose end two servers could see at different places.
//
// fasthttp reads the first bytes of a streamed body before it calls the handler. It waits for
// up to 256 KiB that the handler left unread, unless the connection is to be closed. See Unread.
package httpbody
