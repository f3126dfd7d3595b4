package inspector

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

const (
	pageSize      = 50  // rows of a list
	maxFound      = 200 // records that a node answers with
	maxShownRooms = 20  // of a socket
)

// query is a question of a page, and of a node to the others.
type query struct {
	Op string `json:"op"`

	Search string `json:"search,omitempty"` // in lower case
	After  string `json:"after,omitempty"`  // the last key of the page before

	User      string `json:"user,omitempty"`
	Session   string `json:"session,omitempty"`
	Socket    string `json:"socket,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Room      string `json:"room,omitempty"`
	Name      string `json:"name,omitempty"` // of a notice
	Filter    filter `json:"filter"`

	Pass string `json:"pass,omitempty"` // from a page: a pass; between nodes: its hash
}

// The questions.
const (
	opSummary   = "summary"
	opUsers     = "users"
	opSessions  = "sessions"
	opSockets   = "sockets"
	opRooms     = "rooms"
	opSent      = "sent"
	opTimeline  = "timeline"
	opHistory   = "history"    // of the plots; nodes of older versions answer without one
	opUser      = "user"       // with the sessions in the storage; between nodes: sockets
	opExplain   = "explain"    // not asked of other nodes
	opRedeem    = "redeem"     // between nodes only
	opEnd       = "end"        // from a page only
	opEndHere   = "endsession" // between nodes only
	maxQueryLen = 512          // bytes of each text of a query
)

// answer is the answer of a node, or of all nodes together. Which fields are set depends on the
// question.
type answer struct {
	Node string `json:"node,omitempty"`

	Summary   *summary      `json:"summary,omitempty"`
	Nodes     []*summary    `json:"nodes,omitempty"`
	Histories []nodeHistory `json:"histories,omitempty"`
	Strangers int           `json:"strangers,omitempty"` // nodes that have not answered
	Missing   bool          `json:"missing,omitempty"`   // an answer of a node has not arrived in time
	Users     []userRow     `json:"users,omitempty"`
	Sessions  []sessionRow  `json:"sessions,omitempty"`
	Sockets   []socketRow   `json:"sockets,omitempty"`
	Rooms     []roomRow     `json:"rooms,omitempty"`
	Devices   []deviceRow   `json:"devices,omitempty"`
	Sent      []emission    `json:"sent,omitempty"`
	Total     int           `json:"total"`
	Records   []*record     `json:"records,omitempty"`
	Explain   *explanation  `json:"explain,omitempty"`
	Values    []sessionShow `json:"values,omitempty"`

	Administrator string `json:"administrator,omitempty"`
	OK            bool   `json:"ok,omitempty"`
	Error         string `json:"error,omitempty"`
}

type userRow struct {
	User    string   `json:"user"`
	Sockets int      `json:"sockets"`
	Nodes   []string `json:"nodes"`
}

type sessionRow struct {
	Session string   `json:"session"`
	User    string   `json:"user,omitempty"`
	Sockets int      `json:"sockets"`
	Nodes   []string `json:"nodes"`
}

type socketRow struct {
	ID        string   `json:"id"`
	Namespace string   `json:"namespace"`
	User      string   `json:"user,omitempty"`
	Session   string   `json:"session,omitempty"`
	Node      string   `json:"node,omitempty"` // "" if it has no inspector
	Address   string   `json:"address"`
	Agent     string   `json:"agent"`
	Transport string   `json:"transport,omitempty"`
	Since     int64    `json:"since"`
	Rooms     []string `json:"rooms"`
	More      int      `json:"more,omitempty"` // rooms
}

type roomRow struct {
	Namespace string   `json:"namespace"`
	Room      string   `json:"room"`
	Sockets   int      `json:"sockets"`
	Nodes     []string `json:"nodes"`
}

// deviceRow is a session of a user in the storage.
type deviceRow struct {
	Session  string `json:"session"`
	Address  string `json:"address"`
	Agent    string `json:"agent"`
	Created  int64  `json:"created"`
	LastSeen int64  `json:"lastSeen"`
	Expires  int64  `json:"expires"`
}

// sessionShow is the content of a session.
type sessionShow struct {
	Session string            `json:"session"`
	Keys    []string          `json:"keys"`
	Values  map[string]string `json:"values,omitempty"`
}

// answerHere answers a question of a page or of another node, for this node.
func (i *inspector) answerHere(q *query) answer {
	a := answer{Node: i.io.ID()}
	switch q.Op {
	case opSummary:
		i.watch.touch(i)
		i.watch.focus.refill()
		a.Summary = i.summarise()
	case opUsers:
		a.Users, a.Total = i.users(q)
	case opSessions:
		a.Sessions, a.Total = i.sessionsHere(q)
	case opSockets:
		a.Sockets, a.Total = i.sockets(q)
	case opRooms:
		a.Rooms, a.Total = i.rooms(q)
	case opSent:
		a.Sent = i.watch.emissions.list(pageSize)
	case opUser:
		i.watch.focus.show(q.User)
		a.Sockets, a.Total = i.sockets(q)
		a.Values = i.contents(q.User)
	case opTimeline:
		a.Records = i.timeline.find(q.Filter, maxFound)
	case opHistory:
		a.Histories = []nodeHistory{i.historyHere()}
	case opRedeem:
		a.Administrator, a.OK = i.passes.redeem(q.Pass)
	case opEndHere:
		a.OK, a.Error = i.endSessionHere(q.Session)
	}
	return a
}

// all iterates over the app's sockets on this node.
func (i *inspector) all() iter.Seq[*socketbridge.Socket] {
	return func(yield func(*socketbridge.Socket) bool) {
		for _, ns := range i.io.Namespaces() {
			if ns == i.ns {
				continue
			}
			for _, s := range ns.Sockets() {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// matches reports whether a search finds one of the texts.
func (q *query) matches(texts ...string) bool {
	if q.Search == "" {
		return true
	}
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), q.Search) {
			return true
		}
	}
	return false
}

// firstPage returns the first keys after q.After, in order, with their counts.
func firstPage(q *query, counts map[string]int) []string {
	keys := make([]string, 0, len(counts))
	for key := range counts {
		if key > q.After {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys[:min(len(keys), pageSize)]
}

func (i *inspector) users(q *query) ([]userRow, int) {
	counts := make(map[string]int)
	for s := range i.all() {
		if user := s.User(); user != "" && q.matches(user) {
			counts[user]++
		}
	}
	rows := []userRow{}
	for _, user := range firstPage(q, counts) {
		rows = append(rows, userRow{user, counts[user], []string{i.io.ID()}})
	}
	return rows, len(counts)
}

func (i *inspector) sessionsHere(q *query) ([]sessionRow, int) {
	counts, users := make(map[string]int), make(map[string]string)
	for s := range i.all() {
		if session, user := subject(s); session != "" && q.matches(session, user) {
			counts[session]++
			users[session] = user
		}
	}
	rows := []sessionRow{}
	for _, session := range firstPage(q, counts) {
		rows = append(rows, sessionRow{session, users[session], counts[session], []string{i.io.ID()}})
	}
	return rows, len(counts)
}

// sockets returns the sockets that are selected by user, session, room or search.
func (i *inspector) sockets(q *query) ([]socketRow, int) {
	candidates := i.all()
	switch {
	case q.User != "":
		candidates = slices.Values(i.io.User(q.User).Sockets())
	case q.Room != "":
		candidates = i.inRoom(q.Namespace, q.Room)
	}
	byID := make(map[string]*socketbridge.Socket)
	ids := make(map[string]int)
	for s := range candidates {
		if s.Namespace() == i.ns || q.Socket != "" && s.ID() != q.Socket {
			continue
		}
		if q.Search != "" || q.Session != "" {
			session, user := subject(s)
			if q.Session != "" && session != q.Session || q.Search != "" && !q.matches(s.ID(), user, session, s.Handshake().RemoteIP, s.Namespace().Name()) {
				continue
			}
		}
		ids[s.ID()]++
		byID[s.ID()] = s
	}
	rows := []socketRow{}
	for _, id := range firstPage(q, ids) {
		rows = append(rows, i.describeSocket(byID[id]))
	}
	return rows, len(ids)
}

// inRoom iterates over the sockets of this node in a room of the app's.
func (i *inspector) inRoom(namespace, room string) iter.Seq[*socketbridge.Socket] {
	return func(yield func(*socketbridge.Socket) bool) {
		for _, ns := range i.io.Namespaces() {
			if ns.Name() != namespace {
				continue
			}
			for _, s := range ns.In(room).Local().Sockets() {
				if !yield(s) {
					return
				}
			}
		}
	}
}

func (i *inspector) describeSocket(s *socketbridge.Socket) socketRow {
	session, user := subject(s)
	h := s.Handshake()
	r := socketRow{
		ID: s.ID(), Namespace: s.Namespace().Name(), User: user, Session: session, Node: i.io.ID(),
		Address: h.RemoteIP, Agent: cut(h.Header.Get("User-Agent"), 256), Transport: s.Transport(), Since: h.Time.UnixMilli(),
	}
	r.Rooms, r.More = ownRooms(s.ID(), s.Rooms())
	return r
}

// ownRooms returns the rooms to show of a socket, without that of its ID.
func ownRooms(id string, all []string) (shown []string, more int) {
	shown = []string{}
	for _, room := range all {
		if room == id {
			continue
		}
		if len(shown) == maxShownRooms {
			more++
			continue
		}
		shown = append(shown, room)
	}
	return shown, more
}

func (i *inspector) rooms(q *query) ([]roomRow, int) {
	counts := make(map[string]int)
	for s := range i.all() {
		namespace := s.Namespace().Name()
		for _, room := range s.Rooms() {
			if room != s.ID() && q.matches(room, namespace) {
				counts[room+"\x00"+namespace]++
			}
		}
	}
	rows := []roomRow{}
	for _, key := range firstPage(q, counts) {
		room, namespace, _ := strings.Cut(key, "\x00")
		rows = append(rows, roomRow{namespace, room, counts[key], []string{i.io.ID()}})
	}
	return rows, len(counts)
}

// contents returns the names of the keys in a user's sessions, and the values that may be shown.
func (i *inspector) contents(user string) []sessionShow {
	seen := map[string]bool{}
	all := []sessionShow{}
	for _, s := range i.io.User(user).Sockets() {
		h := s.Session()
		if h == nil || len(all) == pageSize {
			continue
		}
		name := h.Pseudonym(fibersession.LogLabel)
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		show1 := sessionShow{Session: name, Keys: h.Keys()}
		slices.Sort(show1.Keys)
		for _, key := range i.cfg.Values {
			if v := h.Get(key); v != nil {
				if show1.Values == nil {
					show1.Values = make(map[string]string)
				}
				show1.Values[key] = show(v)
			}
		}
		show1.Keys = show1.Keys[:min(len(show1.Keys), 100)]
		all = append(all, show1)
	}
	return all
}

// devices returns the user's sessions in the storage.
func (i *inspector) devices(ctx context.Context, user string) ([]deviceRow, error) {
	if i.sessions == nil {
		return nil, nil
	}
	found, err := i.sessions.Devices(ctx, user)
	rows := []deviceRow{}
	for _, d := range found[:min(len(found), pageSize)] {
		rows = append(rows, deviceRow{d.LogName, d.Address, d.UserAgent, d.Created.UnixMilli(), d.LastSeen.UnixMilli(), d.Expires.UnixMilli()})
	}
	return rows, err
}

// foreign adds the sockets of nodes without an inspector, which FetchSockets finds.
func (i *inspector) foreign(ctx context.Context, q *query, a *answer) {
	known := make(map[string]bool, len(a.Sockets))
	for _, s := range a.Sockets {
		known[s.ID] = true
	}
	var found []socketbridge.RemoteSocket
	add := func(ns *socketbridge.Namespace, b socketbridge.Broadcast) {
		some, err := b.FetchSockets(ctx)
		a.Missing = a.Missing || err != nil
		for _, r := range some {
			if !known[r.ID()] && len(a.Sockets) < pageSize {
				row := socketRow{
					ID: r.ID(), Namespace: ns.Name(), User: q.User, Address: r.Handshake().Address,
					Agent: cut(r.Handshake().Header["user-agent"], 256), Since: r.Handshake().Time.UnixMilli(),
				}
				row.Rooms, row.More = ownRooms(r.ID(), r.Rooms())
				a.Sockets = append(a.Sockets, row)
				a.Total++
			}
		}
		found = append(found, some...)
	}
	for _, ns := range i.io.Namespaces() {
		switch {
		case ns == i.ns:
		case q.User != "":
			add(ns, ns.ToUser(q.User))
		case q.Room != "" && ns.Name() == q.Namespace:
			add(ns, ns.In(q.Room))
		}
	}
}

// merge adds the answer of a node to those of others.
func (a *answer) merge(b *answer) {
	if b.Summary != nil {
		a.Nodes = append(a.Nodes, b.Summary)
	}
	a.Histories = append(a.Histories, b.Histories...)
	a.Total += b.Total
	a.OK = a.OK || b.OK
	if b.Administrator != "" {
		a.Administrator = b.Administrator
	}
	if b.Error != "" {
		a.Error = b.Error
	}
	a.Users = mergeRows(a.Users, b.Users, func(r *userRow) string { return r.User }, func(x, y *userRow) {
		x.Sockets += y.Sockets
		x.Nodes = append(x.Nodes, y.Nodes...)
	})
	a.Sessions = mergeRows(a.Sessions, b.Sessions, func(r *sessionRow) string { return r.Session }, func(x, y *sessionRow) {
		x.Sockets += y.Sockets
		x.Nodes = append(x.Nodes, y.Nodes...)
	})
	a.Rooms = mergeRows(a.Rooms, b.Rooms, func(r *roomRow) string { return r.Room + "\x00" + r.Namespace }, func(x, y *roomRow) {
		x.Sockets += y.Sockets
		x.Nodes = append(x.Nodes, y.Nodes...)
	})
	a.Sockets = mergeRows(a.Sockets, b.Sockets, func(r *socketRow) string { return r.ID }, func(x, y *socketRow) {})
	a.Values = mergeRows(a.Values, b.Values, func(r *sessionShow) string { return r.Session }, func(x, y *sessionShow) {})
	for _, r := range b.Records {
		shown := *r
		shown.Node = b.Node
		a.Records = append(a.Records, &shown)
	}
	slices.SortStableFunc(a.Records, func(x, y *record) int { return cmp.Compare(y.Time, x.Time) })
	a.Records = a.Records[:min(len(a.Records), maxFound)]
	for _, e := range b.Sent {
		e.Node = b.Node
		a.Sent = append(a.Sent, e)
	}
	slices.SortFunc(a.Sent, func(x, y emission) int { return cmp.Compare(y.Last, x.Last) })
	a.Sent = a.Sent[:min(len(a.Sent), 2*pageSize)]
}

// mergeRows merges two sorted lists, joins rows with the same key, and cuts the result.
func mergeRows[T any](a, b []T, key func(*T) string, join func(x, y *T)) []T {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y T) int { return cmp.Compare(key(&x), key(&y)) })
	merged := all[:0]
	for k := range all {
		if n := len(merged); n > 0 && key(&merged[n-1]) == key(&all[k]) {
			join(&merged[n-1], &all[k])
			continue
		}
		merged = append(merged, all[k])
	}
	return merged[:min(len(merged), pageSize)]
}
