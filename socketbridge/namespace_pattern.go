package socketbridge

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// pattern is what a Namespace of OfPattern or OfFunc has instead of sockets.
type pattern struct {
	whole    *regexp.Regexp                               // for OfPattern
	fn       func(name string, auth json.RawMessage) bool // for OfFunc
	children map[*Namespace]struct{}                      // guarded by Namespace.mu of the parent
}

// child is what a namespace has that a pattern made. Server.nsMu guards it.
type child struct {
	parent *Namespace
	uses   int           // sockets, from before they connect until all their handlers have returned
	pinned bool          // the app has it from Of: it stays
	idle   *time.Timer   // runs while there are no sockets, if one may be recovered
	ready  chan struct{} // closed when the OnNewNamespace handlers have returned; nil without handlers
}

// OfPattern returns a namespace that stands for all whose whole name, with its leading
// slash, matches re:
//
//	io.OfPattern(regexp.MustCompile(`/project-\d+`)).OnConnection(func(s *socketbridge.Socket) {
//		_ = s.Emit("welcome", s.Namespace().Name())
//	})
//
// A client that joins such a name creates a child, which has the middlewares, handlers and
// settings of the returned namespace, including those that are added later. The child is
// removed when its last socket has ended and can no longer be recovered
// (Config.Recovery.Window). Limits.MaxChildNamespaces bounds their number; above it, clients
// are refused with the code CodeTooMany.
//
// Methods that address sockets, such as Emit, To, FetchSockets and Disconnect, address those
// of all children of this node, and through these also the sockets of other nodes. The
// returned namespace itself cannot be joined, and its Name is that of the pattern.
//
// A namespace that exists before OfPattern is called is not a child, whatever its name is.
// Of returns the child if a pattern matches its argument; that child is never removed. The
// first of several patterns that match wins. Namespaces of clients are named by clients: the
// pattern decides which names exist, and middlewares (Use) who may join.
//
// Unlike RegExp.test in Socket.IO for Node, re must match the whole name: /admin would
// otherwise be part of a name such as /x/admin/y.
func (s *Server) OfPattern(re *regexp.Regexp) *Namespace {
	needFunc("OfPattern", re != nil)
	return s.addPattern(re.String(), &pattern{whole: regexp.MustCompile(`\A(?:` + re.String() + `)\z`)})
}

// OfFunc is OfPattern for names that match accepts. auth is the client's auth option as raw
// JSON, or nil. match is called for every client that wants to join such a namespace, also if
// it exists already, before any middleware. It runs on the goroutine that reads from the
// client, so it must not block. If it panics, it accepts nothing. Of does not call it, because
// there is no client.
func (s *Server) OfFunc(match func(name string, auth json.RawMessage) bool) *Namespace {
	needFunc("OfFunc", match != nil)
	return s.addPattern("func", &pattern{fn: match})
}

func (s *Server) addPattern(name string, p *pattern) *Namespace {
	p.children = make(map[*Namespace]struct{})
	n := &Namespace{server: s, name: name, pattern: p, settings: &settings{mode: s.cfg.Mode}}
	n.recovery = noLog{n}
	s.nsMu.Lock()
	s.patterns = with(s.patterns, n)
	s.nsMu.Unlock()
	return n
}

// OnNewNamespace adds a handler that is called with every namespace that Of or a pattern
// (OfPattern) creates from now on, before a client joins it. It must not block.
func (s *Server) OnNewNamespace(fn func(*Namespace)) {
	needFunc("OnNewNamespace", fn != nil)
	s.nsMu.Lock()
	defer s.nsMu.Unlock()
	s.onNamespace = with(s.onNamespace, fn)
}

// announceNamespace calls the OnNewNamespace handlers with a new namespace.
func (s *Server) announceNamespace(n *Namespace, hooks []func(*Namespace)) {
	for _, fn := range hooks {
		s.guard("OnNewNamespace", func() { fn(n) })
	}
	if n.child.ready != nil {
		close(n.child.ready)
	}
}

// matches reports whether a client may join a namespace. No lock may be held.
func (n *Namespace) matches(name string, auth json.RawMessage) bool {
	if n.pattern.fn == nil {
		return n.pattern.whole.MatchString(name)
	}
	ok := false
	n.server.guard("OfFunc", func() { ok = n.pattern.fn(name, auth) })
	return ok
}

// errTooManyNamespaces refuses a client that is in maxNamespaces already, or because of
// Limits.MaxChildNamespaces.
var errTooManyNamespaces = &ConnectError{Message: "too many namespaces", Data: &EventError{Code: CodeTooMany, Message: "too many namespaces"}}

// errTooMuchAuth refuses a client whose sockets keep maxClientAuth already.
var errTooMuchAuth = &ConnectError{Message: "too much auth", Data: &EventError{Code: CodeTooMany, Message: "too much auth"}}

// enterNamespace returns the namespace that a client wants to join, and creates it if a
// pattern matches. Of a child, it counts one more use, which leaveNamespace ends. It returns
// nil if there is no such namespace, and an error if there are too many children.
func (s *Server) enterNamespace(name string, auth json.RawMessage) (*Namespace, error) {
	s.nsMu.RLock()
	n, patterns := s.namespaces[name], s.patterns
	s.nsMu.RUnlock()
	switch {
	case n != nil && n.child.parent == nil:
		return n, nil
	case n != nil:
		if !n.child.parent.matches(name, auth) {
			return nil, nil
		}
		patterns = []*Namespace{n.child.parent}
	default:
		if _, err := namespaceName(name); err != nil {
			return nil, nil
		}
		i := slices.IndexFunc(patterns, func(p *Namespace) bool { return p.matches(name, auth) })
		if i < 0 {
			return nil, nil
		}
		patterns = patterns[i : i+1]
	}
	return s.useChild(name, patterns[0])
}

// useChild returns the child of a pattern with this name, which it creates if it does not
// exist. A static namespace that was created meanwhile wins.
func (s *Server) useChild(name string, parent *Namespace) (*Namespace, error) {
	s.nsMu.Lock()
	n, created := s.namespaces[name], false
	if n == nil {
		if limit := s.cfg.Limits.MaxChildNamespaces; limit >= 0 && s.children >= limit {
			s.nsMu.Unlock()
			s.notices.Report(&tooManyChildrenNotice, "", "limit", limit, "namespace", notice.Text(name))
			return nil, errTooManyNamespaces
		}
		n, created = s.createChild(name, parent), true
	}
	hooks := s.onNamespace
	if n.child.parent != nil {
		n.use()
	}
	s.nsMu.Unlock()
	if created {
		s.announceNamespace(n, hooks)
	} else if n.child.ready != nil {
		<-n.child.ready
	}
	return n, nil
}

// createChild creates a namespace with the settings of its pattern. The caller holds nsMu.
func (s *Server) createChild(name string, parent *Namespace) *Namespace {
	n := newNamespace(s, name)
	n.child.parent = parent
	if len(s.onNamespace) > 0 {
		n.child.ready = make(chan struct{})
	}
	parent.mu.Lock()
	n.settings, n.handlers, n.serverHandlers = parent.settings, parent.handlers, parent.serverHandlers
	n.setRoomHandlers(parent.roomHandlers)
	parent.pattern.children[n] = struct{}{}
	parent.mu.Unlock()
	s.namespaces[name] = n
	s.children++
	return n
}

// use counts one more use of a child. The caller holds nsMu.
func (n *Namespace) use() {
	n.child.uses++
	if n.child.idle != nil {
		n.child.idle.Stop()
		n.child.idle = nil
	}
}

// leaveNamespace ends one use of a namespace. The last use of a child ends the child, after
// the time in which its sockets may be recovered.
func (s *Server) leaveNamespace(n *Namespace) {
	if n.child.parent == nil {
		return
	}
	s.nsMu.Lock()
	defer s.nsMu.Unlock()
	n.child.uses--
	keep := s.cfg.Recovery.Window
	if keep > 0 && !s.closing.Load() && n.child.uses == 0 && !n.child.pinned {
		n.child.idle = time.AfterFunc(keep, func() { s.expireChild(n) }) // removeChild and use stop it
		return
	}
	s.removeChild(n)
}

// expireChild removes a child that had no socket for the recovery window.
func (s *Server) expireChild(n *Namespace) {
	s.nsMu.Lock()
	defer s.nsMu.Unlock()
	if n.child.idle != nil { // else it was used again just before the timer fired
		s.removeChild(n)
	}
}

// stopChildTimers removes the children that only wait for sockets to be recovered, when the
// server shuts down.
func (s *Server) stopChildTimers() {
	s.nsMu.Lock()
	defer s.nsMu.Unlock()
	for _, n := range s.namespaces {
		if n.child.idle != nil {
			s.removeChild(n)
		}
	}
}

// removeChild removes a child without uses. It does nothing to others. The caller holds nsMu,
// so that the adapter sees the end of this namespace and the beginning of the next one of the
// same name in order.
func (s *Server) removeChild(n *Namespace) {
	if n.child.uses > 0 || n.child.pinned || s.namespaces[n.name] != n {
		return
	}
	if n.child.idle != nil {
		n.child.idle.Stop()
		n.child.idle = nil
	}
	delete(s.namespaces, n.name)
	s.children--
	n.gone.Store(true)
	parent := n.child.parent
	parent.mu.Lock()
	delete(parent.pattern.children, n)
	parent.mu.Unlock()
	n.recovery.close()
	if s.cluster != nil {
		if a, ok := s.cluster.adapter.(adapter.Closer); ok {
			a.Close(n.name)
		}
	}
}

// live returns n or, if n was a child that was removed, the namespace that has its name now.
// An app can keep a *Namespace for longer than there are sockets in it.
func (n *Namespace) live() *Namespace {
	if n.gone.Load() {
		if now := n.server.namespace(n.name); now != nil {
			return now
		}
	}
	return n
}

// childNamespaces returns the children of a pattern that exist on this node.
func (n *Namespace) childNamespaces() []*Namespace {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Collect(maps.Keys(n.pattern.children))
}

// perChild returns b for each child of the pattern that it addresses.
func (b Broadcast) perChild() []Broadcast {
	children := b.ns.childNamespaces()
	all := make([]Broadcast, len(children))
	for i, n := range children {
		all[i] = b
		all[i].ns = n
	}
	return all
}

// inChildren calls fn for each child of the pattern that b addresses.
func (b Broadcast) inChildren(fn func(b Broadcast) error) error {
	var errs []error
	for _, b := range b.perChild() {
		errs = append(errs, fn(b))
	}
	return errors.Join(errs...)
}

// fromChildren calls fn for each child of the pattern that b addresses, at the same time, and
// joins what they return.
func fromChildren[T any](b Broadcast, fn func(b Broadcast) ([]T, error)) ([]T, error) {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		all  []T
		errs []error
	)
	for _, b := range b.perChild() {
		wg.Go(func() { // ends when fn returns; waited for below
			some, err := fn(b)
			mu.Lock()
			defer mu.Unlock()
			all, errs = append(all, some...), append(errs, err)
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// needSockets panics if a method that makes no sense for a pattern is called on one.
func (n *Namespace) needSockets(method string) {
	if n.pattern != nil {
		panic("socketbridge: " + method + " needs one namespace, not a pattern; use Of")
	}
}
