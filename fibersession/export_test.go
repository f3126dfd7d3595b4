package fibersession

import (
	"context"
	"io"
	"iter"
)

// SetRandom replaces the source of IDs.
func (s *Store) SetRandom(r io.Reader) { s.random = r }

// StoreKey is where the session with this ID is kept.
func (s *Store) StoreKey(id string) string { return s.layout.place(id).key }

// Queued is how many calls wait for the next round of h's session.
func Queued(h *Handle) int {
	s := h.state.resolve()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

// NewID draws an ID.
func (s *Store) NewID() (string, error) {
	id, _, err := s.newIdentity()
	return id, err
}

// CookieValue and CookieID are the store's form of a cookie.
func (s *Store) CookieValue(name, id string) string { return s.cfg.Cookie.Format.Value(name, id) }

func (s *Store) CookieID(name, value string) (string, bool) {
	id, _, ok := s.cfg.Cookie.Format.ID(name, value)
	return id, ok
}

// UserSet is the name of a user's index, and Member the entry of the session with this ID.
func (s *Store) UserSet(user string) string { return s.userSet(user) }
func (s *Store) Member(id string) string    { return s.member(s.layout.place(id)) }

// TicketKey is where a ticket is kept.
func (s *Store) TicketKey(ticket string) string { return s.voucherKey(voucherTicket, ticket) }

// OpenVoucher is openVoucher of a ticket.
func OpenVoucher(ticket string, value []byte) (id string, err error) {
	v, _, err := openVoucher(voucherTicket, ticket, value)
	return v.id, err
}

// Entries are the entries of a user's index.
func (s *Store) Entries(user string) iter.Seq2[string, error] {
	return s.index.Members(context.Background(), s.userSet(user))
}

// FoundToWatch is h.Watch after it found the state that is in charge now.
func FoundToWatch(h *Handle) func(fn func(Event)) (stop func()) { return h.state.resolve().addWatcher }
