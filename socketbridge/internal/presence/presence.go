package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/storage"
)

// Storage is what presence needs of a storage.
type Storage interface {
	storage.Storage
	storage.Index
}

// Config configures a Registry. All fields are required.
type Config struct {
	Storage Storage
	Prefix  string        // of all keys
	TTL     time.Duration // a node that was silent for this long counts as dead
	Node    string        // unique ID of this node
	Notices *notice.Board // failures are reported to it

	// Pseudonym returns the name of a user in keys.
	Pseudonym func(user string) string

	// Renamed is called when this node has taken a new name, because it counted as dead
	// under the old one. All users of this node must be entered again.
	Renamed func()

	// Expired is called for each user of a node that has died. It calls Remove or Forget,
	// and notifies its listeners if the user is on no other node. It reports whether that is
	// done. If not, it is called again a third of the TTL later.
	Expired func(ctx context.Context, node, pseudonym string) (done bool, err error)
}

// Registry records the users of one node, and removes the records of nodes that have
// died. It is safe for concurrent use.
type Registry struct {
	cfg Config

	// name is the present name of this node, or nil before it is registered. A node that
	// counted as dead takes a new name, because others may be removing the old one.
	name atomic.Pointer[string]

	names     int                       // how many names the node has had; used by refresh only
	unhealthy atomic.Pointer[time.Time] // when Run began, or a refresh or a check of other nodes last failed
}

// ErrNotRegistered is returned while this node is not registered as alive.
var ErrNotRegistered = errors.New("presence: this node is not registered yet")

const (
	// maxSwaps is how many times a change of a record is tried.
	maxSwaps = 16

	// maxChecked is how many other nodes a node checks at a time. As all nodes do so,
	// each node is checked by several others.
	maxChecked = 8

	// changeTimeout is the timeout of one change, long enough for a slow store.
	changeTimeout = 10 * time.Second
)

// record is the record of a user.
type record struct {
	User  string   `json:"user"`
	Nodes []string `json:"nodes"`
}

// New returns a Registry. Run registers its node.
func New(cfg Config) *Registry { return &Registry{cfg: cfg} }

func (r *Registry) recordKey(pseudonym string) string { return r.cfg.Prefix + "u:" + pseudonym }
func (r *Registry) aliveKey(node string) string       { return r.cfg.Prefix + "n:" + node }
func (r *Registry) usersOf(node string) string        { return r.cfg.Prefix + "of:" + node }
func (r *Registry) nodes() string                     { return r.cfg.Prefix + "nodes" }

// Enter records that a user is online on this node. It reports whether the user was on
// no node before.
//
// When retrying after an error, pass the same tried. It records that an earlier attempt
// may already have created the record.
func (r *Registry) Enter(ctx context.Context, user string, tried *bool) (first bool, err error) {
	changing, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	name := r.name.Load()
	if name == nil {
		return false, ErrNotRegistered
	}
	node, pseudonym := *name, r.cfg.Pseudonym(user)
	if err := r.cfg.Storage.AddMember(changing, r.usersOf(node), pseudonym, 0); err != nil {
		return false, err
	}
	err = r.change(changing, r.recordKey(pseudonym), func(rec *record) (changed bool) {
		if slices.Contains(rec.Nodes, node) {
			first = *tried
			return false
		}
		first = len(rec.Nodes) == 0
		rec.User, rec.Nodes = user, append(rec.Nodes, node)
		return true
	}, func() { *tried = first })
	if err == nil {
		err = r.cfg.Storage.Touch(changing, r.aliveKey(node), r.cfg.TTL)
	}
	if errors.Is(err, storage.ErrNotFound) {
		// The node counts as dead. Others may have removed its users before this one was
		// added, and would not look at the name again.
		_, undone := r.Remove(ctx, node, pseudonym, new(bool))
		err = errors.Join(ErrNotRegistered, undone)
	}
	return first && err == nil, err
}

// Leave records that a user is no longer online on this node. It reports whether this was
// the user's last node. For tried see Remove.
func (r *Registry) Leave(ctx context.Context, user string, tried *bool) (last bool, err error) {
	name := r.name.Load()
	if name == nil {
		return false, ErrNotRegistered
	}
	return r.Remove(ctx, *name, r.cfg.Pseudonym(user), tried)
}

// Remove removes a node from the record of a user. It reports whether it was the user's
// last node.
//
// When retrying after an error, pass the same tried. It records that an earlier attempt
// may already have ended the record.
func (r *Registry) Remove(ctx context.Context, node, pseudonym string, tried *bool) (last bool, err error) {
	changing, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	err = r.change(changing, r.recordKey(pseudonym), func(rec *record) (changed bool) {
		if !slices.Contains(rec.Nodes, node) {
			last = *tried && len(rec.Nodes) == 0
			return false
		}
		rec.Nodes = slices.DeleteFunc(rec.Nodes, func(n string) bool { return n == node })
		last = len(rec.Nodes) == 0
		return true
	}, func() { *tried = last })
	if err != nil {
		return false, err
	}
	if err := r.Forget(ctx, node, pseudonym); err != nil {
		r.cfg.Notices.Report(&entryStaysNotice, "", "error", err)
	}
	return last, nil
}

// Forget removes a user from the set of a node's users.
func (r *Registry) Forget(ctx context.Context, node, pseudonym string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return r.cfg.Storage.RemoveMember(ctx, r.usersOf(node), pseudonym)
}

// UserOf returns the user of a pseudonym, or "" if the user is on no node.
func (r *Registry) UserOf(ctx context.Context, pseudonym string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	item, err := r.cfg.Storage.Load(ctx, r.recordKey(pseudonym))
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	var rec record
	if err != nil || json.Unmarshal(item.Value, &rec) != nil {
		return "", err
	}
	return rec.User, nil
}

// change applies a change to a record until it succeeds or apply returns false. It
// deletes a record without nodes. It calls unknown after each attempt whose outcome is
// unknown.
func (r *Registry) change(ctx context.Context, key string, apply func(rec *record) (changed bool), unknown func()) error {
	var err error
	for range maxSwaps {
		var item storage.Item
		item, err = r.cfg.Storage.Load(ctx, key)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		var rec record
		if err == nil && json.Unmarshal(item.Value, &rec) != nil {
			rec = record{} // malformed: replace it
		}
		if !apply(&rec) {
			return nil
		}
		switch {
		case len(rec.Nodes) == 0:
			err = r.cfg.Storage.CompareAndDelete(ctx, key, item.Revision)
			if errors.Is(err, storage.ErrNotFound) {
				err = storage.ErrConflict // another node has ended the record, and notifies
			}
		default:
			var text []byte
			if text, err = json.Marshal(rec); err == nil {
				_, err = r.cfg.Storage.CompareAndSwap(ctx, key, item.Revision, text, 0)
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
		case <-time.After(rand.N(5 * time.Millisecond)): // so that competing nodes do not collide again
		}
	}
	return err
}

// Online reports whether a user is on any node.
func (r *Registry) Online(ctx context.Context, user string) (bool, error) {
	return r.exists(ctx, r.recordKey(r.cfg.Pseudonym(user)))
}

func (r *Registry) exists(ctx context.Context, key string) (bool, error) {
	_, err := r.cfg.Storage.Load(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// readAtOnce is how many records Users reads at a time. A storage such as Redis sends them
// together.
const readAtOnce = 64

// maxPasses is how often Users reads the sets of the nodes' users: again after each pass that
// found a user, because a user can move to a node whose set was read already.
const maxPasses = 3

// Users yields the users who are on any node, each once. It stops after the first error.
func (r *Registry) Users(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := make(map[string]bool)
		for range maxPasses {
			before := len(seen)
			if err := r.eachNewUser(ctx, seen, func(user string) bool { return yield(user, nil) }); err != nil {
				if !errors.Is(err, errStopped) {
					yield("", err)
				}
				return
			}
			if len(seen) == before {
				return
			}
		}
	}
}

// errStopped is returned by eachNewUser if yield returned false.
var errStopped = errors.New("presence: stopped")

// eachNewUser calls yield for the users of all nodes whose pseudonyms are not in seen, and adds
// these.
func (r *Registry) eachNewUser(ctx context.Context, seen map[string]bool, yield func(user string) bool) error {
	nodes, err := r.members(ctx, r.nodes())
	if err != nil {
		return err
	}
	for _, node := range nodes {
		names, err := r.members(ctx, r.usersOf(node))
		if err != nil {
			return err
		}
		names = slices.DeleteFunc(names, func(name string) bool { return seen[name] })
		for some := range slices.Chunk(names, readAtOnce) {
			users, err := r.usersNamed(ctx, some)
			if err != nil {
				return err
			}
			for i, user := range users {
				if user == "" { // the user has just left
					continue
				}
				seen[some[i]] = true
				if !yield(user) {
					return errStopped
				}
			}
		}
	}
	return nil
}

// usersNamed returns the users of pseudonyms, with "" for those who are on no node.
func (r *Registry) usersNamed(ctx context.Context, pseudonyms []string) ([]string, error) {
	users, errs := make([]string, len(pseudonyms)), make([]error, len(pseudonyms))
	var reading sync.WaitGroup
	for i, name := range pseudonyms {
		reading.Go(func() { users[i], errs[i] = r.UserOf(ctx, name) }) // ends with its read; waited for below
	}
	reading.Wait()
	return users, errors.Join(errs...)
}

// Run keeps this node registered and checks others until ctx ends. The two run
// concurrently: removing a dead node with many users, whose handlers are slow, may take
// longer than this node may be silent.
func (r *Registry) Run(ctx context.Context) {
	r.markUnhealthy() // other nodes may be starting at the same time
	var checking sync.WaitGroup
	checking.Go(func() { r.repeat(ctx, r.checkOthers) }) // ends with ctx; waited for here
	defer checking.Wait()
	r.repeat(ctx, r.refresh)
}

func (r *Registry) markUnhealthy() {
	now := time.Now()
	r.unhealthy.Store(&now)
}

// repeat calls do three times per TTL until ctx ends.
func (r *Registry) repeat(ctx context.Context, do func(ctx context.Context) error) {
	ticker := time.NewTicker(r.cfg.TTL / 3)
	defer ticker.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			r.markUnhealthy()
			r.cfg.Notices.Report(&failedNotice, "", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// refresh keeps this node registered as alive.
func (r *Registry) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.TTL)
	defer cancel()
	err := storage.ErrNotFound
	name := r.name.Load()
	if name != nil {
		err = r.cfg.Storage.Touch(ctx, r.aliveKey(*name), r.cfg.TTL)
	}
	if errors.Is(err, storage.ErrNotFound) {
		r.markUnhealthy()
		if err = r.register(ctx); err == nil && name != nil {
			r.cfg.Renamed()
		}
	}
	return err
}

// register registers this node under a new name. The key that marks it as alive is
// written first, before other nodes can find the name and check it.
func (r *Registry) register(ctx context.Context) error {
	r.names++
	name := fmt.Sprintf("%s.%d", r.cfg.Node, r.names)
	if _, err := r.cfg.Storage.CompareAndSwap(ctx, r.aliveKey(name), storage.Absent, []byte("1"), r.cfg.TTL); err != nil {
		return err
	}
	if err := r.cfg.Storage.AddMember(ctx, r.nodes(), name, 0); err != nil {
		return err
	}
	r.name.Store(&name)
	return nil
}

// checkOthers checks some other nodes and removes those that have died. It does nothing
// for one TTL after this node could not refresh its own key: the other nodes may have
// had the same outage, and get time to refresh theirs.
func (r *Registry) checkOthers(ctx context.Context) error {
	if time.Since(*r.unhealthy.Load()) < r.cfg.TTL {
		return nil
	}
	others, err := r.others(ctx)
	if err != nil {
		return err
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, node := range others[:min(len(others), maxChecked)] {
		alive, err := r.alive(ctx, node)
		if err == nil && !alive {
			err = r.removeNode(ctx, node)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// members returns the members of a set.
func (r *Registry) members(ctx context.Context, set string) (all []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	for member, err := range r.cfg.Storage.Members(ctx, set) {
		if err != nil {
			return nil, err
		}
		all = append(all, member)
	}
	return all, nil
}

// others returns the names of the other nodes.
func (r *Registry) others(ctx context.Context) ([]string, error) {
	all, err := r.members(ctx, r.nodes())
	own := r.name.Load()
	return slices.DeleteFunc(all, func(node string) bool { return own != nil && node == *own }), err
}

func (r *Registry) alive(ctx context.Context, node string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return r.exists(ctx, r.aliveKey(node))
}

// HasPeers reports whether another node with presence is alive. Servers of Socket.IO for
// Node do not count: they have no presence.
func (r *Registry) HasPeers(ctx context.Context) bool {
	others, _ := r.others(ctx)
	return slices.ContainsFunc(others, func(node string) bool { alive, _ := r.alive(ctx, node); return alive })
}

// removeNode removes a dead node from the records of its users. Several nodes may do so
// at the same time: each record ends for one of them.
func (r *Registry) removeNode(ctx context.Context, node string) error {
	members, err := r.members(ctx, r.usersOf(node))
	all := true
	for _, member := range members {
		done, err := r.cfg.Expired(ctx, node, member)
		if err != nil {
			return fmt.Errorf("users of a node that died: %w", err)
		}
		all = all && done
	}
	if err != nil || !all {
		return err // the rest is done at the next check
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return r.cfg.Storage.RemoveMember(ctx, r.nodes(), node)
}

// Close unregisters this node after Run has returned. With handover, the other nodes
// remove this node's users once grace has passed, and notify their listeners.
func (r *Registry) Close(ctx context.Context, handover bool, grace time.Duration) {
	name := r.name.Load()
	if name == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := r.unregister(ctx, *name, handover, grace); err != nil {
		r.cfg.Notices.Report(&staysRegisteredNotice, "", "error", err)
	}
}

func (r *Registry) unregister(ctx context.Context, node string, handover bool, grace time.Duration) error {
	if handover && grace > 0 {
		return r.cfg.Storage.Touch(ctx, r.aliveKey(node), grace)
	}
	err := r.cfg.Storage.CompareAndDelete(ctx, r.aliveKey(node), storage.Any)
	if !handover && err == nil {
		err = r.cfg.Storage.RemoveMember(ctx, r.nodes(), node)
	}
	return err
}
