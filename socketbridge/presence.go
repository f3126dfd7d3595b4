package socketbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// presences says who has sockets on which nodes. It is kept in the sessions' storage: a
// record for each user who is online, of the nodes where; a set for each node, of its
// users; and a key for each node that expires when the node is no longer heard of. A
// record changes by compare-and-swap only: so of all nodes exactly one sees it begin,
// and one sees it end, and that one tells.
type presences struct {
	server  *Server
	storage storage.Storage
	index   storage.Index
	prefix  string
	ttl     time.Duration // after which a node that is not heard of has died

	// id is under what name this node is known at present, or nil. When it was not heard
	// of for too long it takes a new one: under the old one it has died.
	id atomic.Pointer[string]

	lives int                       // names that it had; used by beat alone
	lapse atomic.Pointer[time.Time] // when this node was last not heard of
}

var errNotKnown = errors.New("socketbridge: this node is not known to the others yet")

// maxSwaps is how many times a change of a record is tried at a time.
const maxSwaps = 16

// checks is how many other nodes one looks after at each beat: with every node doing
// so, each is looked after by several.
const checks = 8

// record is who is online where.
type record struct {
	User  string   `json:"user"`
	Nodes []string `json:"nodes"`
}

// newPresence returns nil when presence is this node's own affair: there are no other
// nodes, or the storage cannot keep it.
func newPresence(s *Server) *presences {
	if s.cluster == nil || s.cfg.Sessions == nil || s.cfg.Sessions.UserKey() == "" {
		return nil
	}
	st := s.cfg.Sessions.Storage()
	index, ok := st.(storage.Index)
	if !ok {
		s.log.Warn("socketbridge: the sessions' storage is no storage.Index: OnPresence knows this node's users only")
		return nil
	}
	return &presences{server: s, storage: st, index: index, prefix: s.cfg.Sessions.Prefix() + "p:", ttl: s.cfg.Presence.TTL}
}

func (p *presences) pseudonym(user string) string {
	return p.server.cfg.Sessions.UserPseudonym(user, "presence")
}

func (p *presences) recordKey(pseudonym string) string { return p.prefix + "u:" + pseudonym }
func (p *presences) aliveKey(node string) string       { return p.prefix + "n:" + node }
func (p *presences) usersOf(node string) string        { return p.prefix + "of:" + node }
func (p *presences) nodes() string                     { return p.prefix + "nodes" }

// bounded is a context for one change: long enough for a store that is slow.
func (p *presences) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.server.cluster.ctx, 10*time.Second)
}

// enter records that a user is online on this node. It reports whether the user was
// nowhere before. Who tries again after an error gives the same tried: it says that the
// record was begun, of which is not known whether it happened.
func (p *presences) enter(user string, tried *bool) (first bool, err error) {
	ctx, cancel := p.bounded()
	defer cancel()
	id := p.id.Load()
	if id == nil {
		return false, errNotKnown
	}
	node, member := *id, p.pseudonym(user)
	if err := p.index.AddMember(ctx, p.usersOf(node), member, 0); err != nil {
		return false, err
	}
	err = p.change(ctx, p.recordKey(member), func(r *record) (changed bool) {
		if slices.Contains(r.Nodes, node) {
			first = *tried
			return false
		}
		first = len(r.Nodes) == 0
		r.User, r.Nodes = user, append(r.Nodes, node)
		return true
	}, func() { *tried = first })
	if err == nil {
		err = p.storage.Touch(ctx, p.aliveKey(node), p.ttl)
	}
	if errors.Is(err, storage.ErrNotFound) { // it has died: others may have cleared up before this, and nobody would again
		_, undone := p.remove(node, member, new(bool))
		err = errors.Join(errNotKnown, undone)
	}
	return first && err == nil, err
}

// leave records that this node has no socket of a user any more. It reports whether it
// was the last that had one. Of tried see remove.
func (p *presences) leave(user string, tried *bool) (last bool, err error) {
	id := p.id.Load()
	if id == nil {
		return false, errNotKnown
	}
	return p.remove(*id, p.pseudonym(user), tried)
}

// remove takes a node out of a user's record. It reports whether it was the last. Who
// tries again after an error gives the same tried: it says that the record was ended, of
// which is not known whether it happened.
func (p *presences) remove(node, pseudonym string, tried *bool) (last bool, err error) {
	ctx, cancel := p.bounded()
	defer cancel()
	err = p.change(ctx, p.recordKey(pseudonym), func(r *record) (changed bool) {
		if !slices.Contains(r.Nodes, node) {
			last = *tried && len(r.Nodes) == 0
			return false
		}
		r.Nodes = slices.DeleteFunc(r.Nodes, func(n string) bool { return n == node })
		last = len(r.Nodes) == 0
		return true
	}, func() { *tried = last })
	if err != nil {
		return false, err
	}
	if err := p.forget(node, pseudonym); err != nil {
		p.server.log.Warn("socketbridge: presence: an entry is left behind until its node has ended", "error", err)
	}
	return last, nil
}

// forget takes a user out of the set of a node's users.
func (p *presences) forget(node, pseudonym string) error {
	ctx, cancel := p.bounded()
	defer cancel()
	return p.index.RemoveMember(ctx, p.usersOf(node), pseudonym)
}

// userOf returns whose record that is, or "" when there is none.
func (p *presences) userOf(pseudonym string) (string, error) {
	ctx, cancel := p.bounded()
	defer cancel()
	item, err := p.storage.Load(ctx, p.recordKey(pseudonym))
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	var r record
	if err != nil || json.Unmarshal(item.Value, &r) != nil {
		return "", err
	}
	return r.User, nil
}

// change applies a change to a record until it succeeds or turns out to be none. A
// record without nodes is removed. It calls unknown when it may have succeeded.
func (p *presences) change(ctx context.Context, key string, apply func(r *record) (changed bool), unknown func()) error {
	var err error
	for range maxSwaps {
		var item storage.Item
		item, err = p.storage.Load(ctx, key)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		var r record
		if err == nil && json.Unmarshal(item.Value, &r) != nil {
			r = record{} // somebody else's: it is replaced
		}
		if !apply(&r) {
			return nil
		}
		switch {
		case len(r.Nodes) == 0:
			err = p.storage.CompareAndDelete(ctx, key, item.Revision)
			if errors.Is(err, storage.ErrNotFound) {
				err = storage.ErrConflict // another node was first, and tells
			}
		default:
			var text []byte
			if text, err = json.Marshal(r); err == nil {
				_, err = p.storage.CompareAndSwap(ctx, key, item.Revision, text, 0)
			}
		}
		if err == nil {
			return nil
		}
		if errors.Is(err, storage.ErrUnknownOutcome) {
			unknown()
		} else if !errors.Is(err, storage.ErrConflict) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(5 * time.Millisecond)): // who met here meets not again at once
		}
	}
	return err
}

// online says whether a user has a record.
func (p *presences) online(ctx context.Context, user string) (bool, error) {
	_, err := p.storage.Load(ctx, p.recordKey(p.pseudonym(user)))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// run keeps this node known as alive and looks after others until ctx ends. It does the
// two apart: clearing up after a node with many users, whose handlers take their time,
// takes longer than this node may be silent.
func (p *presences) run(ctx context.Context) {
	p.lapsed() // others, too, may be just beginning again
	var looking sync.WaitGroup
	looking.Go(func() { p.always(ctx, p.lookAfter) }) // ends with ctx; waited for here
	defer looking.Wait()
	p.always(ctx, p.beat)
}

func (p *presences) lapsed() {
	now := time.Now()
	p.lapse.Store(&now)
}

// always does something three times in the time after which a node counts as dead.
func (p *presences) always(ctx context.Context, do func(ctx context.Context) error) {
	ticker := time.NewTicker(p.ttl / 3)
	defer ticker.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			p.lapsed()
			p.server.log.Warn("socketbridge: presence cannot be kept at present", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// beat keeps this node known as alive.
func (p *presences) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.ttl)
	defer cancel()
	err := error(storage.ErrNotFound)
	id := p.id.Load()
	if id != nil {
		err = p.storage.Touch(ctx, p.aliveKey(*id), p.ttl)
	}
	if errors.Is(err, storage.ErrNotFound) {
		p.lapsed()
		if err = p.begin(ctx); err == nil && id != nil {
			p.server.users.again()
		}
	}
	return err
}

// begin makes this node known under a new name. It is alive before others look after it.
func (p *presences) begin(ctx context.Context) error {
	p.lives++
	node := fmt.Sprintf("%s.%d", p.server.cluster.id, p.lives)
	if _, err := p.storage.CompareAndSwap(ctx, p.aliveKey(node), storage.Absent, []byte("1"), p.ttl); err != nil {
		return err
	}
	if err := p.index.AddMember(ctx, p.nodes(), node, 0); err != nil {
		return err
	}
	p.id.Store(&node)
	return nil
}

// lookAfter takes some other nodes, and clears up after those that have died.
func (p *presences) lookAfter(ctx context.Context) error {
	if time.Since(*p.lapse.Load()) < p.ttl {
		return nil // after a time without the store all others seem dead: they get time to be heard of
	}
	others, err := p.others()
	if err != nil {
		return err
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, node := range others[:min(len(others), checks)] {
		alive, err := p.alive(node)
		if err == nil && !alive {
			err = p.clear(node)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// members returns the members of a set.
func (p *presences) members(set string) (all []string, err error) {
	ctx, cancel := p.bounded()
	defer cancel()
	for member, err := range p.index.Members(ctx, set) {
		if err != nil {
			return nil, err
		}
		all = append(all, member)
	}
	return all, nil
}

// others returns the names of the other nodes that are to be looked after.
func (p *presences) others() ([]string, error) {
	all, err := p.members(p.nodes())
	own := p.id.Load()
	return slices.DeleteFunc(all, func(node string) bool { return own != nil && node == *own }), err
}

func (p *presences) alive(node string) (bool, error) {
	ctx, cancel := p.bounded()
	defer cancel()
	_, err := p.storage.Load(ctx, p.aliveKey(node))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// accompanied says whether another node is alive that keeps presence: servers of Node do
// not.
func (p *presences) accompanied() bool {
	others, _ := p.others()
	return slices.ContainsFunc(others, func(node string) bool { alive, _ := p.alive(node); return alive })
}

// clear takes a dead node out of the records of its users. Several nodes may be at it:
// each record ends for one of them.
func (p *presences) clear(node string) error {
	members, err := p.members(p.usersOf(node))
	all := true
	for _, member := range members {
		done, err := p.server.users.gone(node, member)
		if err != nil {
			return fmt.Errorf("users of a node that died: %w", err)
		}
		all = all && done
	}
	if err != nil || !all {
		return err // the rest at the next beat
	}
	ctx, cancel := p.bounded()
	defer cancel()
	return p.index.RemoveMember(ctx, p.nodes(), node)
}

// handOver decides at the begin of a shutdown who tells that this node's users are
// gone: the other nodes, when there are any, for whom users who reconnect there were
// never away.
func (s *Server) handOver(ctx context.Context) {
	if s.presence == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeouts.Request)
	defer cancel()
	if n, err := s.Nodes(ctx); err == nil && n > 1 && s.presence.accompanied() {
		s.users.leaving.Store(true)
	}
}

// close says that this node has ended.
func (p *presences) close(ctx context.Context) {
	if p == nil || p.id.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := p.end(ctx, *p.id.Load()); err != nil {
		p.server.log.Warn("socketbridge: presence: other nodes will find out by themselves that this one has ended", "error", err)
	}
}

// end leaves this node's users to the others, if there are any and for as long as the
// time of grace lasts, or its name to nobody.
func (p *presences) end(ctx context.Context, node string) error {
	handover := p.server.users.leaving.Load()
	if handover && p.server.cfg.Presence.Grace > 0 {
		return p.storage.Touch(ctx, p.aliveKey(node), p.server.cfg.Presence.Grace)
	}
	err := p.storage.CompareAndDelete(ctx, p.aliveKey(node), storage.Any)
	if !handover && err == nil {
		err = p.index.RemoveMember(ctx, p.nodes(), node)
	}
	return err
}

// OnlineAnywhere says whether the user has a socket on any node, or had one less than
// Config.Presence.Grace ago. Without an adapter it is Online.
func (u User) OnlineAnywhere(ctx context.Context) (bool, error) {
	if u.server.presence == nil || u.id == "" {
		return u.Online(), nil
	}
	return u.server.presence.online(ctx, u.id)
}
