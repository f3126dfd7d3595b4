package socketbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// RemoteSocket is a socket of this or another node as it was when it was fetched. It
// is a value: what it says does not change, and its methods reach the socket
// wherever it is, or nobody when it has gone. It is safe for concurrent use.
type RemoteSocket struct {
	ns        *Namespace
	id        string
	rooms     []string
	handshake RemoteHandshake
	data      map[string]json.RawMessage
}

// RemoteHandshake is what other nodes may know of a socket's handshake. Neither
// cookies nor query nor auth, which may hold secrets, leave their node, and of the
// headers only those of a short list.
type RemoteHandshake struct {
	Time    time.Time         // when the connection was opened
	Address string            // the client's
	Secure  bool              // over TLS
	URL     string            // path of the request
	Header  map[string]string // keys are lower case
}

// handshakeJSON has the names that Socket.IO for Node uses. Its query and auth are
// there, and empty, so that code which looks into them finds nothing and not nil.
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

// toldHeaders are the headers of a handshake that other nodes are told.
var toldHeaders = map[string]string{
	"Host":            "host",
	"Origin":          "origin",
	"User-Agent":      "user-agent",
	"Accept-Language": "accept-language",
}

// describe makes descriptions of sockets for other nodes.
func describe(sockets []*Socket) []adapter.Socket {
	all := make([]adapter.Socket, 0, len(sockets))
	for _, s := range sockets {
		if d, ok := s.describe(); ok {
			all = append(all, d)
		}
	}
	return all
}

// describe says nothing of a socket that is no longer there.
func (s *Socket) describe() (adapter.Socket, bool) {
	hs := s.Handshake()
	told := handshakeJSON{
		Headers: make(map[string]string, len(toldHeaders)),
		Time:    hs.Time.Format(time.RFC3339Nano),
		Address: hs.RemoteIP,
		Xdomain: hs.Header.Get("Origin") != "",
		Secure:  hs.Secure,
		Issued:  hs.Time.UnixMilli(),
		URL:     hs.Path,
	}
	for name, key := range toldHeaders {
		if v := hs.Header.Get(name); v != "" {
			told.Headers[key] = v
		}
	}
	handshake, err := json.Marshal(told)
	if err != nil {
		handshake = []byte("{}")
	}
	rooms := s.Rooms()
	return adapter.Socket{ID: s.id, Rooms: rooms, Handshake: handshake, Data: s.data.told()}, len(rooms) > 0
}

func newRemoteSocket(ns *Namespace, d adapter.Socket) RemoteSocket {
	r := RemoteSocket{ns: ns, id: d.ID, rooms: d.Rooms}
	var told struct {
		Headers map[string]json.RawMessage `json:"headers"`
		Issued  float64                    `json:"issued"`
		Address string                     `json:"address"`
		Secure  bool                       `json:"secure"`
		URL     string                     `json:"url"`
	}
	_ = json.Unmarshal(d.Handshake, &told) // of a foreign node's: what can be read is taken
	_ = json.Unmarshal(d.Data, &r.data)
	r.handshake = RemoteHandshake{
		Time:    time.UnixMilli(int64(told.Issued)),
		Address: told.Address,
		Secure:  told.Secure,
		URL:     told.URL,
		Header:  make(map[string]string, len(told.Headers)),
	}
	for _, key := range toldHeaders {
		var v string
		if json.Unmarshal(told.Headers[key], &v) == nil && v != "" {
			r.handshake.Header[key] = v
		}
	}
	return r
}

// FetchSockets returns the addressed sockets of all nodes. It waits as long as ctx
// or, when it has no deadline, Config.Timeouts.Request says; then it returns what came,
// with an error that wraps adapter.ErrIncomplete.
func (b Broadcast) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
	var all []RemoteSocket
	for _, d := range describe(b.Sockets()) {
		all = append(all, newRemoteSocket(b.ns, d))
	}
	for r, err := range b.ns.server.ask(ctx, b.message(adapter.Fetch)) {
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

// FetchSockets returns the user's sockets on all nodes. See Broadcast.FetchSockets.
func (u User) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
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

// AllRooms returns the names of all rooms of this namespace on all nodes, those of
// the sockets' own IDs included, in no order. It waits as FetchSockets does.
func (n *Namespace) AllRooms(ctx context.Context) ([]string, error) {
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
	for r, err := range n.server.ask(ctx, n.Broadcast().message(adapter.ListRooms)) {
		if err != nil {
			return all, err
		}
		add(r.Rooms)
	}
	return all, nil
}

// ID returns the socket's ID.
func (r RemoteSocket) ID() string { return r.id }

// Rooms returns the rooms that the socket was in.
func (r RemoteSocket) Rooms() []string { return r.rooms }

// Handshake returns what is known of its handshake.
func (r RemoteSocket) Handshake() RemoteHandshake { return r.handshake }

// Data decodes the value that the socket's Data had under key into v. It is
// ErrMissingArg when there was none, or one that is not told to others (see
// Data.Share).
func (r RemoteSocket) Data(key string, v any) error {
	text, ok := r.data[key]
	if !ok {
		return fmt.Errorf("%w: no data under %q", ErrMissingArg, key)
	}
	return json.Unmarshal(text, v)
}

func (r RemoteSocket) to() Broadcast { return r.ns.To(r.id) }

// Emit sends an event to the socket. See Broadcast.Emit.
func (r RemoteSocket) Emit(event string, args ...any) error { return r.to().Emit(event, args...) }

// EmitWithAck sends an event and waits for the socket's answer: ErrDisconnected when
// it has gone. See Broadcast.EmitWithAck.
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
