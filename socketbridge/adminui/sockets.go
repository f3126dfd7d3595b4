package adminui

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// metaKey is the key under which a socket's description has what the UI needs besides. It is
// that of the package for Node.
const metaKey = "_admin"

// meta is the value under metaKey.
type meta struct {
	ClientID  string `json:"clientId"`
	Transport string `json:"transport"`
	Node      string `json:"node,omitempty"` // of a socket on Go: see UI.node
}

// describe returns the meta of a socket, for FetchSockets of all nodes.
func (u *UI) describe(s *socketbridge.Socket) any {
	return meta{ClientID: s.ClientID(), Transport: s.Transport(), Node: u.node}
}

// socketView is a socket in the form of the protocol.
type socketView struct {
	ID        string          `json:"id"`
	ClientID  string          `json:"clientId"`
	Transport string          `json:"transport"`
	Nsp       string          `json:"nsp"`
	Data      json.RawMessage `json:"data"`
	Handshake handshakeView   `json:"handshake"`
	Rooms     []string        `json:"rooms"`
}

// handshakeView is what the UI shows of a handshake. Query is always empty.
type handshakeView struct {
	Address string            `json:"address"`
	Headers map[string]string `json:"headers"`
	Query   struct{}          `json:"query"`
	Issued  int64             `json:"issued"`
	Secure  bool              `json:"secure"`
	Time    string            `json:"time"`
	URL     string            `json:"url"`
	Xdomain bool              `json:"xdomain"`
}

// view returns the form of a socket in the protocol, and its meta.
func view(ns string, s socketbridge.RemoteSocket) (socketView, meta) {
	var m meta
	_ = s.Data(metaKey, &m) // a socket of another server may have none
	h := s.Handshake()
	v := socketView{
		ID: s.ID(), ClientID: m.ClientID, Transport: m.Transport, Nsp: ns,
		Data: data(s), Rooms: s.Rooms(),
		Handshake: handshakeView{
			Address: h.Address, Headers: h.Header, Issued: h.Time.UnixMilli(), Secure: h.Secure,
			Time: h.Time.UTC().Format("Mon Jan 02 2006 15:04:05 GMT+0000 (Coordinated Universal Time)"),
			URL:  h.URL, Xdomain: h.Header["origin"] != "",
		},
	}
	if v.ClientID == "" {
		v.ClientID = v.ID // the UI lists sockets without one as one client
	}
	if v.Rooms == nil {
		v.Rooms = []string{}
	}
	return v, m
}

// data returns the values that other nodes may see, as a JSON object.
func data(s socketbridge.RemoteSocket) json.RawMessage {
	all := make(map[string]json.RawMessage)
	size := 0
	for _, key := range s.DataKeys() {
		var text json.RawMessage
		if key == metaKey || s.Data(key, &text) != nil {
			continue
		}
		if size += len(key) + len(text); size > maxBytes {
			all[key] = placeholder("[%d bytes]", len(text))
			continue
		}
		all[key] = text
	}
	text, err := json.Marshal(all)
	if err != nil || size > 4*maxBytes {
		return json.RawMessage(`{}`)
	}
	return text
}

// track begins to report a socket. It returns nil if too many are reported already.
func (r *reporter) track(s *socketbridge.Socket) *tracked {
	if len(r.tracked) >= maxSockets {
		r.hidden++
		return nil
	}
	t := &tracked{socket: s, rooms: make(map[string]struct{}), transport: s.Transport(), data: string(data(s.Describe()))}
	for _, room := range s.Rooms() {
		t.rooms[room] = struct{}{}
	}
	t.off = s.OnAnyOutgoing(r.sent(s))
	r.tracked[keyOf(s)] = t
	return t
}

func (r *reporter) untrack(key socketKey) {
	r.tracked[key].off()
	delete(r.tracked, key)
}

// view returns the socket as the pages have to know it.
func (t *tracked) view() socketView {
	v, _ := view(t.socket.Namespace().Name(), t.socket.Describe())
	v.ClientID, v.Transport, v.Data = t.socket.ClientID(), t.transport, json.RawMessage(t.data)
	v.Rooms = slices.Sorted(maps.Keys(t.rooms))
	return v
}

// joined reports a socket that has connected.
func (r *reporter) joined(s *socketbridge.Socket, at time.Time) {
	if r.tracked[keyOf(s)] != nil || !s.Connected() {
		return
	}
	if t := r.track(s); t != nil {
		r.emit("socket_connected", t.view(), stamp(at))
	}
}

// left reports a socket that has disconnected.
func (r *reporter) left(key socketKey, reason string, at time.Time) {
	t := r.tracked[key]
	if t == nil {
		return
	}
	for _, room := range slices.Sorted(maps.Keys(t.rooms)) {
		r.emit("room_left", key.ns, room, key.id, stamp(at))
	}
	r.emit("socket_disconnected", key.ns, key.id, reason, stamp(at))
	r.untrack(key)
}

// roomChanged reports that a socket has joined or left a room, if the pages do not know it.
func (r *reporter) roomChanged(key socketKey, room string, joined bool, at time.Time) {
	t := r.tracked[key]
	if t == nil {
		return
	}
	if _, known := t.rooms[room]; known == joined {
		return
	}
	if joined {
		t.rooms[room] = struct{}{}
		r.emit("room_joined", key.ns, room, key.id, stamp(at))
	} else {
		delete(t.rooms, room)
		r.emit("room_left", key.ns, room, key.id, stamp(at))
	}
}

// update reports the changes of a socket that have no hook.
func (r *reporter) update(t *tracked) {
	id, ns := t.socket.ID(), t.socket.Namespace().Name()
	if now := t.socket.Transport(); now != t.transport {
		t.transport = now
		r.emit("socket_updated", map[string]any{"id": id, "nsp": ns, "transport": now})
	}
	if now := data(t.socket.Describe()); string(now) != t.data {
		t.data = string(now)
		r.emit("socket_updated", map[string]any{"id": id, "nsp": ns, "data": now})
	}
}

// reconcile compares what the pages know with the sockets of this node. tell reports the
// differences.
func (r *reporter) reconcile(tell bool) {
	now := time.Now()
	seen := make(map[socketKey]struct{})
	r.hidden = 0
	for _, ns := range r.u.namespaces() {
		for _, s := range ns.Sockets() {
			key := keyOf(s)
			seen[key] = struct{}{}
			if t := r.tracked[key]; t != nil {
				r.compareRooms(key, t, now)
			} else if t := r.track(s); t != nil && tell {
				r.emit("socket_connected", t.view(), stamp(now))
			}
		}
	}
	for key := range r.tracked {
		if _, ok := seen[key]; !ok {
			r.left(key, "unknown", now)
		}
	}
	if r.hidden > 0 {
		r.u.notices.Report(&hiddenNotice, "", "sockets", r.hidden, "limit", maxSockets)
	}
}

func (r *reporter) compareRooms(key socketKey, t *tracked, now time.Time) {
	rooms := t.socket.Rooms()
	for _, room := range rooms {
		r.roomChanged(key, room, true, now)
	}
	for room := range t.rooms {
		if !slices.Contains(rooms, room) {
			r.roomChanged(key, room, false, now)
		}
	}
}

// tellRecent reports the sockets that a page on another node may have missed, because this
// node did not know of the page.
func (r *reporter) tellRecent(now time.Time) {
	for _, t := range r.tracked {
		if now.Sub(t.socket.Handshake().Time) < 2*lookEvery {
			r.emit("socket_connected", t.view(), stamp(t.socket.Handshake().Time))
		}
	}
}

// namespaces returns the namespaces that are reported: all but the admin namespace.
func (u *UI) namespaces() []*socketbridge.Namespace {
	return slices.DeleteFunc(u.io.Namespaces(), func(n *socketbridge.Namespace) bool { return n == u.ns })
}

const (
	maxListed     = 2 * maxSockets  // sockets of all nodes in one all_sockets
	maxNamespaces = 200             // that other nodes are asked about
	fetchTimeout  = 5 * time.Second // for all of them
)

// greet sends a new page the sockets of all nodes, and the numbers of this one.
func (r *reporter) greet(ctx context.Context, admin *socketbridge.Socket) {
	to := r.u.ns.Local().To(admin.ID()) // unlike Socket.Emit, it does not wait for the page
	if !r.u.cfg.Production {
		all := make([]socketView, 0, len(r.tracked))
		for _, t := range r.tracked {
			all = append(all, t.view())
		}
		_ = to.Emit("all_sockets", append(all, r.remote(ctx, maxListed-len(all))...)) // an error means that the page has gone
	}
	_ = to.Emit("server_stats", r.u.stats([]aggregated{}))
}

// remote returns up to limit sockets of other nodes.
func (r *reporter) remote(ctx context.Context, limit int) []socketView {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if n, err := r.u.io.Nodes(ctx); err == nil && n <= 1 {
		return nil
	}
	var all []socketView
	for i, ns := range r.u.namespaces() {
		if i == maxNamespaces || ctx.Err() != nil {
			break
		}
		sockets, _ := ns.FetchSockets(ctx) // of nodes that do not reply, the sockets are missing
		for _, s := range sockets {
			v, m := view(ns.Name(), s)
			if m.Node == r.u.node {
				continue
			}
			if len(all) == limit {
				r.u.notices.Report(&hiddenNotice, "", "limit", maxListed)
				return all
			}
			all = append(all, v)
		}
	}
	return all
}
