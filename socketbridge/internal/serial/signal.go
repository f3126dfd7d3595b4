package serial

import "sync"

// Signal is an event that happens at most once. The zero value is ready to use. It is
// small because its channel is created on the first call of Done. All methods are safe
// for concurrent use.
type Signal struct {
	mu    sync.Mutex
	ch    chan struct{}
	fired bool
}

// Fire marks the event as having happened. Later calls do nothing.
func (s *Signal) Fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil && !s.fired {
		close(s.ch)
	}
	s.fired = true
}

// Done returns a channel that is closed when the event has happened.
func (s *Signal) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
		if s.fired {
			close(s.ch)
		}
	}
	return s.ch
}
