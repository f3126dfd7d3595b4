package socketbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// RemoteSocket describes a socket of this or another node at the time it was fetched.
// The description does not change. The methods that act on the socket reach it on
// whatever node it is, and do nothing once it has disconnected. A RemoteSocket is a
// value, and safe for concurrent use.
type RemoteSocket struct {
	ns        *Namespace
	id        string
	rooms     []string
	user      string
	session   SessionName
	handshake RemoteHandshake
	data      map[string]json.RawMessage
	ctx       context.Context // of WithContext; may be nil
}

// RemoteHandshake is the part of a socket's handshake that other nodes may see. Cookies,
// query and auth may hold secrets and never leave their node. Of the headers, other
// nodes see Host, Origin, User-Agent and Accept-Language only.
type RemoteHandshake struct {
	Time    time.Time         // when the connection was opened
	Address string            // IP address of the client
	Secure  bool              // over TLS
	URL     string            // path of the request
	Header  map[string]string // by name, in lower case
}

// handshakeJSON is a handshake with the field names of Socket.IO for Node. Query and
// Auth are always empty objects, so that code for Node that reads their fields works.
type handshakeJSON struct {
	Headers map[string]string `json:"headers"`
	Time    string            `json:"time"`
	Address string            `json:"address"`
	Xdomain bool              `json:"xdomain"`
	Secure  bool              `json:"secure"`
	Issued  int64             `json:"issued"`
	URL     string            `json:"url"`
	Query   struct{}          `json:"query"`
	Auth    struct{}          `json:"auth"`
}

// publicHeaders are the headers of a handshake that other nodes may see.
var publicHeaders = map[string]string{
	"Host":            "host",
	"Origin":          "origin",
	"User-Agent":      "user-agent",
	"Accept-Language": "accept-language",
}

// describe returns descriptions of sockets for other nodes, without sockets that have
// disconnected.
func describe(sockets []*Socket) []adapter.Socket {
	all := make([]adapter.Socket, 0, len(sockets))
	for _, s := range sockets {
		if d, ok := s.describe(); ok {
			all = append(all, d)
		}
	}
	return all
}

// describe returns false if the socket has disconnected.
func (s *Socket) describe() (adapter.Socket, bool) {
	hs := s.Handshake()
	h := handshakeJSON{
		Headers: make(map[string]string, len(publicHeaders)),
		Time:    hs.Time.Format(time.RFC3339Nano),
		Address: hs.RemoteIP,
		Xdomain: hs.Header.Get("Origin") != "",
		Secure:  hs.Secure,
		Issued:  hs.Time.UnixMilli(),
		URL:     hs.Path,
	}
	for name, key := range publicHeaders {
		if v := hs.Header.Get(name); v != "" {
			h.Headers[key] = v
		}
	}
	handshake, err := json.Marshal(h)
	if err != nil {
		handshake = []byte("{}")
	}
	rooms := s.Rooms()
	d := adapter.Socket{ID: s.id, Rooms: rooms, Handshake: handshake, Data: s.describedData(), User: s.User()}
	if s.session != nil {
		d.Session = s.session.Pseudonym("room") // as in sessionRoom
	}
	return d, len(rooms) > 0
}

// describer is what one call of DescribeSockets adds.
type describer struct {
	key string
	fn  func(s *Socket) any
}

// DescribeSockets adds a value to what FetchSockets shows all nodes as the data of this
// node's sockets: under key, fn's result for the socket as JSON. It replaces a value that
// the socket's Data has under key. fn runs whenever a socket is fetched, and not before. It
// must not block, and must be safe for concurrent use. A result that cannot be encoded is
// left out.
func (s *Server) DescribeSockets(key string, fn func(s *Socket) any) {
	needFunc("DescribeSockets", fn != nil)
	for {
		old := s.describers.Load()
		var all []describer
		if old != nil {
			all = *old
		}
		all = with(all, describer{key, fn})
		if s.describers.CompareAndSwap(old, &all) {
			return
		}
	}
}

// describedData returns the data of the socket that all nodes may see, as a JSON object.
func (s *Socket) describedData() []byte {
	all := s.server().describers.Load()
	if all == nil {
		return s.data.public()
	}
	var public map[string]json.RawMessage
	if json.Unmarshal(s.data.public(), &public) != nil {
		return []byte("{}")
	}
	for _, d := range *all {
		s.guard("DescribeSockets", func() {
			if text, err := json.Marshal(d.fn(s)); err == nil {
				public[d.key] = text
			}
		})
	}
	text, err := json.Marshal(public)
	if err != nil {
		return []byte("{}")
	}
	return text
}

// Describe returns what FetchSockets shows other nodes of the socket now.
func (s *Socket) Describe() RemoteSocket {
	d, _ := s.describe()
	return newRemoteSocket(s.ns, d)
}

func newRemoteSocket(ns *Namespace, d adapter.Socket) RemoteSocket {
	r := RemoteSocket{ns: ns, id: d.ID, rooms: appRooms(d.Rooms), user: d.User, session: SessionName(d.Session)}
	var h struct {
		Headers map[string]json.RawMessage `json:"headers"`
		Issued  float64                    `json:"issued"`
		Address string                     `json:"address"`
		Secure  bool                       `json:"secure"`
		URL     string                     `json:"url"`
	}
	_ = json.Unmarshal(d.Handshake, &h) // other servers may send other fields: keep those that can be read
	_ = json.Unmarshal(d.Data, &r.data)
	r.handshake = RemoteHandshake{
		Time:    time.UnixMilli(int64(h.Issued)),
		Address: h.Address,
		Secure:  h.Secure,
		URL:     h.URL,
		Header:  make(map[string]string, len(h.Headers)),
	}
	for _, key := range publicHeaders {
		var v string
		if json.Unmarshal(h.Headers[key], &v) == nil && v != "" {
			r.handshake.Header[key] = v
		}
	}
	return r
}

// FetchSockets returns the addressed sockets of all nodes. It waits until all nodes have
// replied, or until ctx ends, or for Config.Timeouts.Request if ctx has no deadline. If
// replies are missing then, it returns the sockets it knows of and an error that wraps
// adapter.ErrIncomplete.
func (b Broadcast) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
	if b.err != nil {
		return nil, b.err
	}
	if b.ns.pattern != nil {
		return fromChildren(b, func(b Broadcast) ([]RemoteSocket, error) { return b.FetchSockets(ctx) })
	}
	var all []RemoteSocket
	for _, d := range describe(b.Sockets()) {
		all = append(all, newRemoteSocket(b.ns, d))
	}
	for r, err := range b.ns.server.request(ctx, b.message(adapter.Fetch)) {
		if err != nil {
			return all, err
		}
		for _, d := range r.Sockets {
			all = append(all, newRemoteSocket(b.ns, d))
		}
	}
	return all, nil
}

// FetchSockets returns the sockets of this namespace on all nodes. See
// Broadcast.FetchSockets.
func (n *Namespace) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
	return n.Broadcast().FetchSockets(ctx)
}

// FetchSockets returns the user's sockets on all nodes, in the namespaces that this node
// serves. See Broadcast.FetchSockets.
func (u User) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
	ctx, cancel := ackContext(ctx, 0, u.server.cfg.Timeouts.Request) // for all namespaces together
	defer cancel()
	var (
		all  []RemoteSocket
		errs []error
	)
	for _, ns := range u.namespaces() {
		some, err := ns.ToUser(u.id).FetchSockets(ctx)
		all, errs = append(all, some...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// AllRooms returns the names of all rooms of this namespace on all nodes, including the
// rooms of the socket IDs, in no particular order. It waits like Broadcast.FetchSockets.
func (n *Namespace) AllRooms(ctx context.Context) ([]string, error) {
	if n.pattern != nil {
		return fromChildren(n.Broadcast(), func(b Broadcast) ([]string, error) { return b.ns.AllRooms(ctx) })
	}
	seen := make(map[string]struct{})
	var all []string
	add := func(names []string) {
		for _, name := range names {
			if _, known := seen[name]; !known {
				seen[name] = struct{}{}
				all = append(all, name)
			}
		}
	}
	add(n.rooms.allNames())
	for r, err := range n.server.request(ctx, n.Broadcast().message(adapter.ListRooms)) {
		if err != nil {
			return all, err
		}
		add(appRooms(r.Rooms))
	}
	return all, nil
}

// ID returns the socket's ID.
func (r RemoteSocket) ID() string { return r.id }

// User returns the ID of the user that the socket's session belonged to, or "". It is "" for
// sockets of servers for Node. The other node is believed: without secrets (see
// redisadapter.Config.Secrets), other clients of the Redis can reply in its place.
func (r RemoteSocket) User() string { return r.user }

// Session returns the name of the socket's session, or "" if it has none. Sockets of one session
// have the same one, on all nodes and after a new session ID:
//
//	io.ToSession(r.Session()).Emit("note")
func (r RemoteSocket) Session() SessionName { return r.session }

// Rooms returns the rooms that the socket was in. See Socket.Rooms.
func (r RemoteSocket) Rooms() []string { return r.rooms }

// Handshake returns the public part of the socket's handshake.
func (r RemoteSocket) Handshake() RemoteHandshake { return r.handshake }

// Data decodes the value that the socket's Data had under key into v. It returns
// ErrMissingArg if there was none, or if it is not visible to other nodes (see
// Data.Share).
func (r RemoteSocket) Data(key string, v any) error {
	text, ok := r.data[key]
	if !ok {
		return fmt.Errorf("%w: no data under %q", ErrMissingArg, key)
	}
	return json.Unmarshal(text, v)
}

// DataKeys returns the keys of the socket's Data that are visible to other nodes, sorted.
func (r RemoteSocket) DataKeys() []string { return slices.Sorted(maps.Keys(r.data)) }

// WithContext sets a context whose values messages to the other nodes are sent with. See
// Broadcast.WithContext.
func (r RemoteSocket) WithContext(ctx context.Context) RemoteSocket {
	r.ctx = ctx
	return r
}

func (r RemoteSocket) to() Broadcast { return r.ns.To(r.id).WithContext(r.ctx) }

// Emit sends an event to the socket. See Broadcast.Emit.
func (r RemoteSocket) Emit(event string, args ...any) error { return r.to().Emit(event, args...) }

// EmitWithAck sends an event and waits for the socket's answer. It returns
// ErrDisconnected if the socket has disconnected. See Broadcast.EmitWithAck.
func (r RemoteSocket) EmitWithAck(ctx context.Context, event string, args ...any) (Answer, error) {
	answers, err := r.to().EmitWithAck(ctx, event, args...)
	if len(answers) > 0 {
		return answers[0], nil
	}
	if err == nil {
		err = ErrDisconnected
	}
	return Answer{}, err
}

// Join adds the socket to rooms. See Broadcast.Join.
func (r RemoteSocket) Join(rooms ...string) error { return r.to().Join(rooms...) }

// Leave takes the socket out of rooms. See Broadcast.Leave.
func (r RemoteSocket) Leave(rooms ...string) error { return r.to().Leave(rooms...) }

// Disconnect disconnects the socket. See Broadcast.Disconnect.
func (r RemoteSocket) Disconnect(closeConn bool) error { return r.to().Disconnect(closeConn) }
