package serial

import "sync"

// Signal says that something has happened, once and for ever. The zero value is ready,
// and is small: the channel is made when somebody asks for it. All methods are safe
// for concurrent use.
type Signal struct {
	mu    sync.Mutex
	ch    chan struct{}
	fired bool
}

// Fire says that it has happened. A second call does nothing.
func (s *Signal) Fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil && !s.fired {
		close(s.ch)
	}
	s.fired = true
}

// Done returns a channel that is closed as soon as it has happened.
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
