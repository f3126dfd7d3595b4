// The table of the states on this node.

package fibersession

import "sync"

// table holds the states that are in use on this node, by the store's key. A state is
// removed with its last reference.
type table struct {
	shards [16]shard
}

type shard struct {
	mu     sync.Mutex
	states map[string]*state
}

func (t *table) shard(at place) *shard { return &t.shards[at.owner[0]%uint8(len(t.shards))] }

// getOrCreate returns the state at a place with one more reference. mk makes the state
// if there is none.
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

// insert adds a new state with one reference. It returns false if there is a state at
// its place already.
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

// release gives up a reference. The last release removes the state.
func (t *table) release(s *state) {
	for {
		at := s.place()
		sh := t.shard(at)
		sh.mu.Lock()
		if s.place().key != at.key { // the session got a new ID meanwhile
			sh.mu.Unlock()
			continue
		}
		last := s.refs.Add(-1) == 0
		if last {
			// Watchers no longer count. Unschedule before another state can take this
			// place: the tracker accepts only one state per key.
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

// remove takes an ended state out of the table while it is still referenced.
func (t *table) remove(s *state, at place) {
	sh := t.shard(at)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.states[at.key] == s {
		delete(sh.states, at.key)
	}
}

// rekey enters s under its new place. If there is a state at that place already, s
// forwards to it and takes a reference to it.
func (t *table) rekey(s *state, from, to place) (forwarded bool) {
	t.remove(s, from)
	sh := t.shard(to)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch other := sh.states[to.key]; {
	case s.refs.Load() == 0: // the last holder released it meanwhile
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

// statesOf returns the states of one shard.
func (t *table) statesOf(shard int) []*state {
	sh := &t.shards[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	all := make([]*state, 0, len(sh.states))
	for _, s := range sh.states {
		all = append(all, s)
	}
	return all
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
