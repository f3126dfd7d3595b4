package socketbridge

import (
	"context"
	"sync"
)

// span is a context for as long as something lives, which is made when somebody asks
// for it: for most sockets nobody does while they are idle. The zero value is ready.
type span struct {
	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
	over   bool
}

func (s *span) context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		s.ctx, s.cancel = context.WithCancel(context.Background())
		if s.over {
			s.cancel()
		}
	}
	return s.ctx
}

// end cancels the context. A second call does nothing.
func (s *span) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.cancel != nil {
		s.cancel()
	}
}

func (s *span) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}
