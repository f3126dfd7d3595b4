package fibersession

import "sync"

// table holds the states that somebody on this node holds, by their key. It keeps
// nothing else: no entry stays for a session that nobody uses.
type table struct {
	shards [16]shard
}

type shard struct {
	mu     sync.Mutex
	states map[string]*state
}

func (t *table) shard(at place) *shard { return &t.shards[at.owner[0]%uint8(len(t.shards))] }

// hold returns the state at a place with one more reference; mk makes it when
// there is none.
func (t *table) getOrCreate(at place, mk func() *state) *state {
	sh := t.shard(at)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.states[at.key]
	if s == nil {
		s = mk()
		sh.put(at.key, s)
	}
	s.refs.Add(1)
	return s
}

// add puts a new state into the table, with one reference. It is false when there
// is one at its place.
func (t *table) insert(s *state) bool {
	sh := t.shard(s.at)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.states[s.at.key] != nil {
		return false
	}
	sh.put(s.at.key, s)
	s.refs.Add(1)
	return true
}

func (sh *shard) put(key string, s *state) {
	if sh.states == nil {
		sh.states = make(map[string]*state)
	}
	sh.states[key] = s
}

// release gives up a reference; the last one takes the state out of the table.
func (t *table) release(s *state) {
	for {
		at := s.place()
		sh := t.shard(at)
		sh.mu.Lock()
		if s.place().key != at.key { // it got a new ID meanwhile
			sh.mu.Unlock()
			continue
		}
		last := s.refs.Add(-1) == 0
		if last {
			// Whoever still watches has let go of what keeps it alive. Before another
			// state can take its place: that one is to be entered there.
			s.unschedule()
			if sh.states[at.key] == s {
				delete(sh.states, at.key)
			}
		}
		sh.mu.Unlock()
		if other := s.forward.Load(); last && other != nil {
			t.release(other)
		}
		return
	}
}

// remove takes a state that ended out of the table before its holders let go.
func (t *table) remove(s *state, at place) {
	sh := t.shard(at)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.states[at.key] == s {
		delete(sh.states, at.key)
	}
}

// rekey moves s, whose place is "to" already. When there is a state at that place, s
// yields to it, with a reference of its own.
func (t *table) rekey(s *state, from, to place) (yielded bool) {
	t.remove(s, from)
	sh := t.shard(to)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch other := sh.states[to.key]; {
	case s.refs.Load() == 0: // its last holder let go in between
		return false
	case other == nil || other == s:
		sh.put(to.key, s)
		return false
	default:
		other.refs.Add(1)
		s.forwardTo(other)
		return true
	}
}

func (t *table) len() int {
	n := 0
	for i := range t.shards {
		t.shards[i].mu.Lock()
		n += len(t.shards[i].states)
		t.shards[i].mu.Unlock()
	}
	return n
}
