package socketbridge

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// roomIndex holds the sockets of one namespace on this node, and the rooms that they are
// in. A room exists while it has members. The zero value is ready to use.
type roomIndex struct {
	mu      sync.RWMutex
	sockets map[string]*Socket // by ID: each ID is also the name of a room
	members map[string]*room   // by name
	list    []*Socket          // snapshot of sockets; nil if outdated

	// watch is called with mu held when a room gets its first member (open) or loses its
	// last. Private rooms are those of the socket IDs. watch may be nil.
	watch func(name string, private, open bool)

	events *roomEvents // nil without handlers
}

// observe makes r queue the changes of its rooms from now on.
func (r *roomIndex) observe(events *roomEvents) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = events
}

// event queues a room event. The caller holds the lock.
func (r *roomIndex) event(kind RoomEventKind, room, socket string) {
	if r.events != nil {
		r.events.add(kind, room, socket)
	}
}

// room is a set of sockets. Broadcasts read list without the lock. While shared is set,
// sockets may still be appended, but no element in place is changed.
type room struct {
	name   string
	list   []*Socket
	shared atomic.Bool
}

// joinedRooms lists the rooms of one socket, without the room of its ID. It is guarded by
// roomIndex.mu.
type joinedRooms struct {
	list     []membership
	reserved int // how many of them have reserved names
}

// membership is a room and the index of the socket in the room's list.
type membership struct {
	room *room
	at   int
}

// index returns the index of a room in the list, or -1.
func (j *joinedRooms) index(rm *room) int {
	return slices.IndexFunc(j.list, func(m membership) bool { return m.room == rm })
}

// addSocket adds s to the namespace.
func (r *roomIndex) addSocket(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets == nil {
		r.sockets = make(map[string]*Socket)
		r.members = make(map[string]*room)
	}
	r.sockets[s.id] = s
	r.list = nil
	if r.watch != nil {
		r.watch(s.id, true, true)
	}
	if r.members[s.id] == nil { // else other sockets have joined the room of its ID
		r.event(RoomCreated, s.id, "")
	}
	r.event(RoomJoined, s.id, s.id)
}

// removeSocket removes s from all its rooms and from the namespace.
func (r *roomIndex) removeSocket(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets[s.id] != s {
		return
	}
	delete(r.sockets, s.id)
	r.list = nil
	if r.watch != nil {
		r.watch(s.id, true, false)
	}
	r.event(RoomLeft, s.id, s.id)
	if r.members[s.id] == nil {
		r.event(RoomDeleted, s.id, "")
	}
	for len(s.joined.list) > 0 {
		r.remove(s, len(s.joined.list)-1)
	}
	s.joined = joinedRooms{}
}

// join adds s to all of the named rooms. It adds s to none and returns ErrRoomName if a
// name is invalid or reserved, ErrTooManyRooms if s would be in more than limit rooms,
// not counting reserved ones, or ErrDisconnected.
func (r *roomIndex) join(s *Socket, names []string, limit int) error {
	if err := checkRoomNames(names); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets[s.id] != s {
		return ErrDisconnected
	}
	more := 0
	for i, name := range names {
		if !r.contains(name, s) && !slices.Contains(names[:i], name) {
			more++
		}
	}
	if len(s.joined.list)-s.joined.reserved+more > limit {
		return ErrTooManyRooms
	}
	for _, name := range names {
		r.add(s, name)
	}
	return nil
}

// joinReserved adds s to a room with a reserved name, regardless of the limit.
func (r *roomIndex) joinReserved(s *Socket, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets[s.id] != s {
		return ErrDisconnected
	}
	r.add(s, name)
	return nil
}

// contains reports whether s has joined a room. The caller holds the lock.
func (r *roomIndex) contains(name string, s *Socket) bool {
	rm := r.members[name]
	return rm != nil && s.joined.index(rm) >= 0
}

// add adds s to a room. The caller holds the lock.
func (r *roomIndex) add(s *Socket, name string) {
	rm := r.members[name]
	if rm == nil {
		rm = &room{name: name}
		r.members[name] = rm
		if r.watch != nil {
			r.watch(name, false, true)
		}
		if r.sockets[name] == nil {
			r.event(RoomCreated, name, "")
		}
	} else if s.joined.index(rm) >= 0 {
		return
	}
	if isReserved(name) {
		s.joined.reserved++
	}
	s.joined.list = append(s.joined.list, membership{rm, len(rm.list)})
	rm.list = append(rm.list, s)
	if name != s.id { // it is in that room anyway
		r.event(RoomJoined, name, s.id)
	}
}

// leave removes s from the named rooms.
func (r *roomIndex) leave(s *Socket, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		if rm := r.members[name]; rm != nil {
			if i := s.joined.index(rm); i >= 0 {
				r.remove(s, i)
			}
		}
	}
}

// remove removes s from the i-th of its joined rooms. In both lists, the last element
// moves to the free index. The caller holds the lock.
func (r *roomIndex) remove(s *Socket, i int) {
	rm, at := s.joined.list[i].room, s.joined.list[i].at
	end := len(s.joined.list) - 1
	s.joined.list[i], s.joined.list[end] = s.joined.list[end], membership{}
	s.joined.list = s.joined.list[:end]
	if isReserved(rm.name) {
		s.joined.reserved--
	}
	if rm.shared.Swap(false) {
		rm.list = slices.Clone(rm.list)
	}
	end = len(rm.list) - 1
	if at != end {
		last := rm.list[end]
		rm.list[at] = last
		last.joined.list[last.joined.index(rm)].at = at
	}
	rm.list[end] = nil
	rm.list = rm.list[:end]
	if rm.name != s.id {
		r.event(RoomLeft, rm.name, s.id)
	}
	if end == 0 {
		delete(r.members, rm.name)
		if r.sockets[rm.name] == nil {
			r.event(RoomDeleted, rm.name, "")
		}
		if r.watch != nil {
			r.watch(rm.name, false, false)
		}
	}
}

// names returns the rooms of s: first that of its ID, then the others, sorted. Those with
// reserved names are included only if reserved is set.
func (r *roomIndex) names(s *Socket, reserved bool) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.sockets[s.id] != s {
		return nil
	}
	names := make([]string, 0, 1+len(s.joined.list))
	for _, m := range s.joined.list {
		if reserved || !isReserved(m.room.name) {
			names = append(names, m.room.name)
		}
	}
	slices.Sort(names)
	return slices.Insert(names, 0, s.id)
}

// allNames returns the names of all rooms that apps can see, including those of the socket
// IDs.
func (r *roomIndex) allNames() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.sockets)+len(r.members))
	names = slices.AppendSeq(names, maps.Keys(r.sockets))
	for name := range r.members {
		if r.sockets[name] == nil && !isReserved(name) {
			names = append(names, name)
		}
	}
	return names
}

// get returns the socket with this ID, or nil.
func (r *roomIndex) get(id string) *Socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.sockets[id]
}

func (r *roomIndex) counts() (sockets, rooms int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.sockets), len(r.sockets) + len(r.members)
}

// all returns all sockets. The slice is shared: callers must not change it.
func (r *roomIndex) all() []*Socket {
	r.mu.RLock()
	list, n := r.list, len(r.sockets)
	r.mu.RUnlock()
	if list != nil || n == 0 {
		return list
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list == nil {
		r.list = make([]*Socket, 0, len(r.sockets))
		for _, s := range r.sockets {
			r.list = append(r.list, s)
		}
	}
	return r.list
}

// in returns the sockets of one room. The slice is shared: callers must not change it.
func (r *roomIndex) in(name string) []*Socket {
	own, list := r.lookup(name)
	if own == nil || slices.Contains(list, own) {
		return list
	}
	if len(list) == 0 {
		return []*Socket{own}
	}
	return append(slices.Clip(list), own) // other sockets have joined the room of its ID
}

// lookup returns the socket with that ID, if any, and the members of the room.
func (r *roomIndex) lookup(name string) (own *Socket, list []*Socket) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if rm := r.members[name]; rm != nil {
		rm.shared.Store(true)
		list = rm.list
	}
	return r.sockets[name], list
}

// find returns the sockets that are in any of to (all if to is empty) and in none of
// except. The slice may be shared: callers must not change it.
func (r *roomIndex) find(to, except []string) []*Socket {
	if len(except) == 0 {
		switch len(to) {
		case 0:
			return r.all()
		case 1:
			return r.in(to[0])
		}
	}
	set := make(map[*Socket]struct{})
	if len(to) == 0 {
		for _, s := range r.all() {
			set[s] = struct{}{}
		}
	}
	for _, name := range to {
		for _, s := range r.in(name) {
			set[s] = struct{}{}
		}
	}
	for _, name := range except {
		for _, s := range r.in(name) {
			delete(set, s)
		}
	}
	found := make([]*Socket, 0, len(set))
	for s := range set {
		found = append(found, s)
	}
	return found
}
