package socketbridge

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// rooms says which sockets of this node are where, for one namespace. Rooms exist
// while somebody is in them. The zero value is ready.
type rooms struct {
	mu      sync.RWMutex
	sockets map[string]*Socket // by ID: each is also a room of its own
	members map[string]*room   // by name
	list    []*Socket          // snapshot of sockets; nil when out of date

	watch func(name string, private, open bool) // hears of rooms, with mu held; nil when nobody listens
}

// room is a set of sockets. Broadcasts read the list without the lock: once it has
// been lent to one, sockets are still appended to it, but none in it is moved any more.
type room struct {
	name string
	list []*Socket
	lent atomic.Bool
}

// seats are the rooms that one socket is in, its own apart. They belong to the lock of
// its namespace's rooms.
type seats struct {
	list []seat
	own  int // how many of them are the bridge's
}

// seat is a room, and where in its list the socket is.
type seat struct {
	room *room
	at   int
}

// index returns where in the list of s the room is, or -1.
func (s *seats) index(rm *room) int {
	return slices.IndexFunc(s.list, func(seat seat) bool { return seat.room == rm })
}

func (r *rooms) enter(s *Socket) {
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
}

// leaveAll takes s out of everything.
func (r *rooms) leaveAll(s *Socket) {
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
	for len(s.seats.list) > 0 {
		r.drop(s, len(s.seats.list)-1)
	}
	s.seats = seats{}
}

// join adds s to names: all of them, or none when an app may not join one, or when it
// would then be in more than limit rooms, the bridge's own apart.
func (r *rooms) join(s *Socket, names []string, limit int) error {
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
		if !r.isIn(s, name) && !slices.Contains(names[:i], name) {
			more++
		}
	}
	if len(s.seats.list)-s.seats.own+more > limit {
		return ErrTooManyRooms
	}
	for _, name := range names {
		r.add(s, name)
	}
	return nil
}

// joinOwn adds s to a room of the bridge's, whatever the limit.
func (r *rooms) joinOwn(s *Socket, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets[s.id] != s {
		return ErrDisconnected
	}
	r.add(s, name)
	return nil
}

// isIn says whether s has joined a room. The caller holds the lock.
func (r *rooms) isIn(s *Socket, name string) bool {
	rm := r.members[name]
	return rm != nil && s.seats.index(rm) >= 0
}

// add adds s to a room. The caller holds the lock.
func (r *rooms) add(s *Socket, name string) {
	rm := r.members[name]
	if rm == nil {
		rm = &room{name: name}
		r.members[name] = rm
		if r.watch != nil {
			r.watch(name, false, true)
		}
	} else if s.seats.index(rm) >= 0 {
		return
	}
	if strings.HasPrefix(name, reservedPrefix) {
		s.seats.own++
	}
	s.seats.list = append(s.seats.list, seat{rm, len(rm.list)})
	rm.list = append(rm.list, s)
}

func (r *rooms) leave(s *Socket, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		if rm := r.members[name]; rm != nil {
			if i := s.seats.index(rm); i >= 0 {
				r.drop(s, i)
			}
		}
	}
}

// drop takes s out of the room that is i-th of its seats. In both lists the last takes
// the free place. The caller holds the lock.
func (r *rooms) drop(s *Socket, i int) {
	rm, at := s.seats.list[i].room, s.seats.list[i].at
	end := len(s.seats.list) - 1
	s.seats.list[i], s.seats.list[end] = s.seats.list[end], seat{}
	s.seats.list = s.seats.list[:end]
	if strings.HasPrefix(rm.name, reservedPrefix) {
		s.seats.own--
	}
	if rm.lent.Swap(false) {
		rm.list = slices.Clone(rm.list)
	}
	end = len(rm.list) - 1
	if at != end {
		last := rm.list[end]
		rm.list[at] = last
		last.seats.list[last.seats.index(rm)].at = at
	}
	rm.list[end] = nil
	rm.list = rm.list[:end]
	if end == 0 {
		delete(r.members, rm.name)
		if r.watch != nil {
			r.watch(rm.name, false, false)
		}
	}
}

// names returns the rooms of s, its own first and the others sorted.
func (r *rooms) names(s *Socket) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.sockets[s.id] != s {
		return nil
	}
	names := make([]string, 0, 1+len(s.seats.list))
	for _, seat := range s.seats.list {
		names = append(names, seat.room.name)
	}
	slices.Sort(names)
	return slices.Insert(names, 0, s.id)
}

// allNames returns the names of all rooms, those of the sockets' IDs included.
func (r *rooms) allNames() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.sockets)+len(r.members))
	names = slices.AppendSeq(names, maps.Keys(r.sockets))
	for name := range r.members {
		if r.sockets[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

func (r *rooms) get(id string) *Socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.sockets[id]
}

func (r *rooms) counts() (sockets, rooms int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.sockets), len(r.sockets) + len(r.members)
}

// all returns every socket. The slice is shared: it must not be changed.
func (r *rooms) all() []*Socket {
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

// in returns the sockets of one room. The slice is shared: it must not be changed.
func (r *rooms) in(name string) []*Socket {
	own, list := r.lookup(name)
	if own == nil || slices.Contains(list, own) {
		return list
	}
	if len(list) == 0 {
		return []*Socket{own}
	}
	return append(slices.Clip(list), own) // somebody joined the room of another socket
}

// lookup returns the socket whose own room name is, and the members of the room.
func (r *rooms) lookup(name string) (own *Socket, list []*Socket) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if rm := r.members[name]; rm != nil {
		rm.lent.Store(true)
		list = rm.list
	}
	return r.sockets[name], list
}

// find returns the sockets that are in any of to (all when it is empty) and in
// none of except. The slice may be shared: it must not be changed.
func (r *rooms) find(to, except []string) []*Socket {
	if len(except) == 0 {
		switch len(to) {
		case 0:
			return r.all()
		case 1:
			return r.in(to[0])
		}
	}
	out := make(map[*Socket]struct{})
	if len(to) == 0 {
		for _, s := range r.all() {
			out[s] = struct{}{}
		}
	}
	for _, name := range to {
		for _, s := range r.in(name) {
			out[s] = struct{}{}
		}
	}
	for _, name := range except {
		for _, s := range r.in(name) {
			delete(out, s)
		}
	}
	found := make([]*Socket, 0, len(out))
	for s := range out {
		found = append(found, s)
	}
	return found
}
