package socketbridge

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

const maxRoomName = 256

// rooms says which sockets of this node are where, for one namespace. Rooms exist
// while somebody is in them. The zero value is ready.
type rooms struct {
	mu      sync.RWMutex
	sockets map[string]*Socket // by ID: each is also a room of its own
	members map[string]*room   // by name
	of      map[*Socket]*stays // what a socket is in, its own room apart
	list    []*Socket          // snapshot of sockets; nil when out of date

	watch func(name string, private, open bool) // hears of rooms, with mu held; nil when nobody listens
}

// stays are the rooms that one socket is in.
type stays struct {
	names map[string]struct{}
	own   int // how many of them are the bridge's
}

// room is a set of sockets. list is a snapshot of it that broadcasts may read
// without the lock; it is made when one asks and dropped when the set changes.
type room struct {
	set  map[*Socket]struct{}
	list []*Socket
}

func (r *rooms) enter(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets == nil {
		r.sockets = make(map[string]*Socket)
		r.members = make(map[string]*room)
		r.of = make(map[*Socket]*stays)
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
	if in := r.of[s]; in != nil {
		for name := range in.names {
			r.drop(s, name)
		}
	}
	delete(r.of, s)
}

// checkRooms says whether an app may join rooms of these names.
func checkRooms(names []string) error {
	for _, name := range names {
		if name == "" || len(name) > maxRoomName || strings.HasPrefix(name, ownRooms) || !utf8.ValidString(name) {
			return ErrRoomName
		}
	}
	return nil
}

// others returns names without the bridge's own.
func others(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.HasPrefix(name, ownRooms) })
}

// join adds s to names: all of them, or none when an app may not join one, or when it
// would then be in more than limit rooms, the bridge's own apart.
func (r *rooms) join(s *Socket, names []string, limit int) error {
	if err := checkRooms(names); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in, err := r.staysOf(s)
	if err != nil {
		return err
	}
	more := 0
	for i, name := range names {
		if _, ok := in.names[name]; !ok && !slices.Contains(names[:i], name) {
			more++
		}
	}
	if len(in.names)-in.own+more > limit {
		return ErrTooManyRooms
	}
	r.add(s, in, names)
	return nil
}

// joinOwn adds s to a room of the bridge's, whatever the limit.
func (r *rooms) joinOwn(s *Socket, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	in, err := r.staysOf(s)
	if err != nil {
		return err
	}
	r.add(s, in, []string{name})
	return nil
}

// staysOf returns where s is. The caller holds the lock.
func (r *rooms) staysOf(s *Socket) (*stays, error) {
	if r.sockets[s.id] != s {
		return nil, ErrDisconnected
	}
	in := r.of[s]
	if in == nil {
		in = &stays{names: make(map[string]struct{}, 2)}
		r.of[s] = in
	}
	return in, nil
}

// add adds s to rooms. The caller holds the lock.
func (r *rooms) add(s *Socket, in *stays, names []string) {
	for _, name := range names {
		if _, ok := in.names[name]; ok {
			continue
		}
		in.names[name] = struct{}{}
		if strings.HasPrefix(name, ownRooms) {
			in.own++
		}
		rm := r.members[name]
		if rm == nil {
			rm = &room{set: make(map[*Socket]struct{}, 1)}
			r.members[name] = rm
			if r.watch != nil {
				r.watch(name, false, true)
			}
		}
		rm.set[s] = struct{}{}
		rm.list = nil
	}
}

func (r *rooms) leave(s *Socket, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.of[s]
	if in == nil {
		return
	}
	for _, name := range names {
		if _, ok := in.names[name]; ok {
			delete(in.names, name)
			if strings.HasPrefix(name, ownRooms) {
				in.own--
			}
			r.drop(s, name)
		}
	}
}

// drop takes s out of one room. The caller holds the lock.
func (r *rooms) drop(s *Socket, name string) {
	rm := r.members[name]
	delete(rm.set, s)
	rm.list = nil
	if len(rm.set) == 0 {
		delete(r.members, name)
		if r.watch != nil {
			r.watch(name, false, false)
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
	names := make([]string, 0, 3)
	if in := r.of[s]; in != nil {
		names = slices.AppendSeq(names, maps.Keys(in.names))
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
	own = r.sockets[name]
	rm := r.members[name]
	if rm == nil || rm.list != nil {
		if rm != nil {
			list = rm.list
		}
		r.mu.RUnlock()
		return own, list
	}
	r.mu.RUnlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if rm.list == nil {
		rm.list = make([]*Socket, 0, len(rm.set))
		for s := range rm.set {
			rm.list = append(rm.list, s)
		}
	}
	return own, rm.list
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
