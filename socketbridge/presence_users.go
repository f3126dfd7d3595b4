package socketbridge

import "time"

// What of users concerns the other nodes.

// matter says whether anybody minds who comes and goes. The caller holds the lock.
func (us *users) matter() bool { return len(us.hooks) > 0 || us.server.presence != nil }

// call tells the handlers.
func (us *users) call(hooks []func(string, bool), id string, online bool) {
	for _, fn := range hooks {
		us.server.guard("OnPresence", func() { fn(id, online) })
	}
}

// news says whether this node has to tell that a user has come or gone: not when the
// user is on another node too.
func (us *users) news(id string, online bool) (news bool) {
	p := us.server.presence
	if p == nil {
		return true
	}
	tried := false
	ok := us.insist(func() (err error) {
		switch {
		case online:
			news, err = p.enter(id, &tried)
		case us.leaving.Load():
			news = false // the others will find the user gone, or with them
		default:
			news, err = p.leave(id, &tried)
		}
		return err
	})
	return ok && news
}

// insist does what the storage must not fail at. While it does not answer it tries again,
// until the server shuts down. It reports whether it was done.
func (us *users) insist(do func() error) bool {
	for pause := 20 * time.Millisecond; do() != nil; pause = min(2*pause, 5*time.Second) {
		select {
		case <-us.closed:
			return false
		case <-time.After(pause):
		}
	}
	return true
}

// again enters all users anew: under the name that this node had, it has died.
func (us *users) again() {
	us.mu.Lock()
	defer us.mu.Unlock()
	for id, u := range us.byID {
		if u.here() {
			u.told = false
			us.tell(id, u)
		}
	}
}

// gone takes a node that died out of the record of one of its users, and tells when the
// user is nowhere else. It reports whether that is done: not while something else of
// the user is being told here.
func (us *users) gone(node, pseudonym string) (done bool, err error) {
	p := us.server.presence
	id, err := p.userOf(pseudonym)
	if err != nil {
		return false, err
	}
	if id == "" {
		return true, p.forget(node, pseudonym)
	}
	us.mu.Lock()
	u := us.byID[id]
	if u == nil {
		if us.byID == nil {
			us.byID = make(map[string]*user)
		}
		u = &user{conns: make(map[*client]int, 1)}
		us.byID[id] = u
	}
	if u.telling {
		us.mu.Unlock()
		return false, nil
	}
	u.telling = true
	hooks := us.hooks
	us.mu.Unlock()
	last, tried := false, false
	done = us.insist(func() (err error) {
		last, err = p.remove(node, pseudonym, &tried)
		return err
	})
	if done && last {
		us.call(hooks, id, false)
	}
	us.mu.Lock()
	defer us.mu.Unlock()
	u.telling = false
	us.tell(id, u)
	return done, nil
}
