package fibersession

import (
	"context"
	"io"
	"iter"
)

// SetRandom replaces the source of IDs.
func (s *Store) SetRandom(r io.Reader) { s.random = r }

// StoreKey returns the storage key of the session with this ID.
func (s *Store) StoreKey(id string) string { return s.layout.place(id).key }

// Queued returns how many calls wait for the next commit of h's session.
func Queued(h *Handle) int {
	s := h.state.resolve()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

// NewID returns a new random ID.
func (s *Store) NewID() (string, error) {
	id, _, err := s.newIdentity()
	return id, err
}

// CookieValue and CookieID convert between an ID and the value of its cookie.
func (s *Store) CookieValue(name, id string) string { return s.Config.Cookie.Format.Value(name, id) }

func (s *Store) CookieID(name, value string) (string, bool) {
	id, _, ok := s.Config.Cookie.Format.ID(name, value)
	return id, ok
}

// UserSet returns the name of a user's index set. Member returns the entry of the session
// with this ID.
func (s *Store) UserSet(user string) string { return s.userSet(user) }
func (s *Store) Member(id string) string    { return s.member(s.layout.place(id)) }

// TicketKey returns the storage key of a ticket.
func (s *Store) TicketKey(ticket string) string { return s.tokenKey(ticketToken, ticket) }

// DecodeTicket decodes the stored value of a ticket and returns the session's ID.
func DecodeTicket(ticket string, value []byte) (id string, err error) {
	t, _, err := decodeToken(ticketToken, ticket, value)
	return t.id, err
}

// Entries returns the entries of a user's index.
func (s *Store) Entries(user string) iter.Seq2[string, error] {
	return s.index.Members(context.Background(), s.userSet(user))
}

// ResolveWatch finds the current state of h and returns its Watch, to be called later.
func ResolveWatch(h *Handle) func(fn func(Event)) (stop func()) { return h.state.resolve().addWatcher }

// IsOldIDNote reports whether value is the note of a used old ID.
func IsOldIDNote(oldID string, value []byte) bool {
	_, ok := openOldIDNote(oldID, value)
	return ok
}

// TakesOver reports whether s looks for old logins.
func TakesOver(s *Store) bool { return !s.takeovers.isOver() }

// ExpectedFiberIDs returns how many calls of the KeyGenerator of Store.Fiber are expected.
func (s *Store) ExpectedFiberIDs() int {
	f := s.fiber.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.newIDs)
}

// RunningUpdates returns how many Updates of the session have no result yet.
func (h *Handle) RunningUpdates() (n int) {
	s := h.state.resolve()
	s.mu.Lock()
	defer s.mu.Unlock()
	for tx := s.running; tx != nil; tx = tx.next {
		n++
	}
	return n
}
