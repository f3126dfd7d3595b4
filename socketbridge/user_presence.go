package socketbridge

import (
	"sync"
	"sync/atomic"
	"time"
)

// users says which connections of this node are whose, over all namespaces, and
// who was last told to be online.
type users struct {
	server *Server
	grace  time.Duration // 0 or less: none
	limit  int           // of connections; negative: none

	closed  chan struct{} // closed when the server shuts down
	leaving atomic.Bool   // it does, and leaves its users to other nodes

	mu    sync.Mutex // never held while a handler runs
	byID  map[string]*user
	hooks []func(user string, online bool)
	ended bool // the server shuts down: nobody is waited for
}

// user is somebody who has connections, or has just lost the last, or is still to be
// told of.
type user struct {
	conns   map[*client]int // how many sockets of each are this user's
	leaving *time.Timer     // runs from the last connection's end until the grace period's
	told    bool            // what the handlers were last told, or are being told
	telling bool            // a goroutine is about it
}

// here says whether the user counts as online.
func (u *user) here() bool { return len(u.conns) > 0 || u.leaving != nil }

// enter counts a socket of the user's on a connection. It is ErrTooManyConns when
// that would be one connection too many.
func (us *users) enter(id string, c *client) error {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byID[id]
	if us.over(u, c) {
		return ErrTooManyConns
	}
	if u == nil {
		if us.byID == nil {
			us.byID = make(map[string]*user)
		}
		u = &user{conns: make(map[*client]int, 1)}
		us.byID[id] = u
	}
	u.conns[c]++
	u.stay()
	us.tell(id, u)
	return nil
}

// over says whether c, which is nil for one that is still to come, would be one
// connection too many.
func (us *users) over(u *user, c *client) bool {
	if us.limit < 0 || u == nil {
		return us.limit == 0 && u == nil
	}
	return len(u.conns) >= us.limit && u.conns[c] == 0
}

// full says whether the user can have no further connection.
func (us *users) full(id string) bool {
	us.mu.Lock()
	defer us.mu.Unlock()
	return id != "" && us.over(us.byID[id], nil)
}

// leave takes back one enter.
func (us *users) leave(id string, c *client) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byID[id]
	if u.conns[c]--; u.conns[c] == 0 {
		delete(u.conns, c)
	}
	if len(u.conns) > 0 {
		return
	}
	if us.grace > 0 && !us.ended && us.matter() {
		var t *time.Timer
		t = time.AfterFunc(us.grace, func() { us.expired(id, u, &t) })
		u.leaving = t
		return
	}
	us.tell(id, u)
}

// stay ends the grace period: the user is back, or is not waited for any longer.
func (u *user) stay() {
	if u.leaving != nil {
		u.leaving.Stop()
		u.leaving = nil
	}
}

// expired is called when a grace period has passed. t is told by its address, since it
// may fire before AfterFunc has returned it; the lock orders the two.
func (us *users) expired(id string, u *user, t **time.Timer) {
	us.mu.Lock()
	defer us.mu.Unlock()
	if u.leaving == nil || u.leaving != *t {
		return // it was stopped too late
	}
	u.leaving = nil
	us.tell(id, u)
}

// close ends all grace periods: who is leaving has left.
func (us *users) close() {
	us.mu.Lock()
	defer us.mu.Unlock()
	if !us.ended {
		close(us.closed)
	}
	us.ended = true
	for id, u := range us.byID {
		if u.leaving != nil {
			u.stay()
			us.tell(id, u)
		}
	}
}

// tell sees that the handlers are told when there is news, and forgets a user of whom
// nothing is left. The caller holds the lock.
func (us *users) tell(id string, u *user) {
	switch {
	case u.telling:
	case u.told != u.here() && us.matter():
		u.telling = true
		us.server.running.Add()
		go us.inform(id, u) // ends when there is no more news; Server.Shutdown waits for it
	default:
		u.told = u.here()
		us.forget(id, u)
	}
}

// inform tells the handlers of one user's comings and goings. While they run, those
// that cancel each other out are not kept: handlers learn where it ended.
func (us *users) inform(id string, u *user) {
	defer us.server.running.Done()
	us.mu.Lock()
	defer us.mu.Unlock()
	for u.told != u.here() {
		u.told = u.here()
		online, hooks := u.told, us.hooks
		us.mu.Unlock()
		if us.news(id, online) {
			us.call(hooks, id, online)
		}
		us.mu.Lock()
	}
	u.telling = false
	us.forget(id, u)
}

func (us *users) forget(id string, u *user) {
	if !u.here() && !u.telling {
		delete(us.byID, id)
	}
}

func (us *users) onPresence(fn func(string, bool)) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.hooks = append(us.hooks[:len(us.hooks):len(us.hooks)], fn)
}

func (us *users) len() int {
	us.mu.Lock()
	defer us.mu.Unlock()
	return len(us.byID)
}

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
