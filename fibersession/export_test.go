package fibersession

import "io"

// SetRandom replaces the source of IDs.
func (s *Store) SetRandom(r io.Reader) { s.random = r }

// StoreKey is where the session with this ID is kept.
func (s *Store) StoreKey(id string) string { return s.layout.place(id).key }

// Queued is how many calls wait for the next round of h's session.
func Queued(h *Handle) int {
	s := h.state.resolve()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

// NewID draws an ID.
func (s *Store) NewID() (string, error) {
	id, _, err := s.newIdentity()
	return id, err
}

// CookieValue and CookieID are the store's form of a cookie.
func (s *Store) CookieValue(name, id string) string { return s.cfg.CookieFormat.Value(name, id) }

func (s *Store) CookieID(name, value string) (string, bool) {
	id, _, ok := s.cfg.CookieFormat.ID(name, value)
	return id, ok
}
