package socketbridge

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// keptState is what the adapter's log keeps of a socket for this package alone.
type keptState struct {
	stay
	Types   map[string]string `json:"types,omitempty"` // see Data.tell
	Expires int64             `json:"expires"`         // Unix time in milliseconds
}

// key names the owner where other programs may read it; "" is nobody in particular.
func (o owner) key() string {
	if o.session == noSession {
		return ""
	}
	sum := sha256.Sum256([]byte("recovery\x00" + o.session + "\x00" + o.user))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// keep has the adapter's log keep the remains. It waits, with a deadline.
func (l *remains) keep() {
	s := l.ns.server
	ttl := min(time.Until(l.expires), s.recovery.cfg.Window)
	if ttl <= 0 {
		return
	}
	data, types := l.data.tell()
	state, err := json.Marshal(keptState{stay: l.stay, Types: types, Expires: l.expires.UnixMilli()})
	if l.foreign {
		state = nil
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(s.cluster.ctx, s.cfg.Timeouts.Request)
		defer cancel()
		err = s.kept().Keep(ctx, &adapter.RecoveryState{
			Namespace: l.ns.name, PID: l.pid, ID: l.id, Rooms: slices.Sorted(maps.Keys(l.meant)),
			Data: data, Owner: l.owner.key(), State: state,
		}, ttl)
	}
	if err != nil {
		s.log.Warn("socketbridge: a client that comes back will get a new socket: its state was not kept", "namespace", l.ns.name, "error", err)
	}
}

// takeKept returns what the adapter's log keeps under pid for an owner, once, or nil.
func (s *Socket) takeKept(pid string, who owner) *remains {
	ctx, cancel := context.WithTimeout(s.Context(), s.server().cfg.Timeouts.Request)
	defer cancel()
	r, err := s.server().kept().Take(ctx, s.ns.name, pid, who.key())
	if err != nil {
		s.log().Warn("socketbridge: a client gets a new socket: whether its state is kept cannot be read", "error", err)
	}
	if r == nil || err != nil {
		return nil
	}
	left := &remains{pid: pid, ns: s.ns, owner: who, id: r.ID, foreign: r.State == nil}
	var state keptState
	left.expires = time.Now().Add(s.server().recovery.cfg.Window)
	if !left.foreign {
		err = json.Unmarshal(r.State, &state)
		left.stay, left.expires = state.stay, time.UnixMilli(state.Expires)
	}
	if err == nil {
		left.data, err = retold(r.Data, state.Types)
	}
	rooms := r.Rooms
	if left.foreign { // the bridge's own rooms are not for others to name
		rooms = appRooms(rooms)
	}
	left.in(rooms)
	left.meant[left.id] = true
	if err == nil {
		err = checkRoomNames(left.rooms)
	}
	if err != nil || left.id == "" || len(left.id) > maxPID || strings.HasPrefix(left.id, reservedPrefix) || len(left.rooms) > s.server().cfg.Limits.MaxRooms {
		s.log().Warn("socketbridge: a client gets a new socket: what is kept of it is malformed", "error", err)
		return nil
	}
	return left
}
