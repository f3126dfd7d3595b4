package socketbridge

import (
	"context"
	"iter"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// publish sends a message to the other nodes. It does nothing if m is nil.
func (s *Server) publish(m *adapter.Message) error {
	if m == nil {
		return nil
	}
	return s.cluster.adapter.Publish(s.cluster.ctx, m)
}

// request sends a message to the other nodes and yields their replies until ctx ends or,
// if ctx has no deadline, for Config.Timeouts.Request. It yields nothing if m is nil.
func (s *Server) request(ctx context.Context, m *adapter.Message) iter.Seq2[*adapter.Reply, error] {
	return func(yield func(*adapter.Reply, error) bool) {
		if m == nil {
			return
		}
		ctx, cancel := ackContext(ctx, 0, s.cfg.Timeouts.Request)
		defer cancel()
		defer context.AfterFunc(s.cluster.ctx, cancel)()
		for r, err := range s.cluster.adapter.Ask(ctx, m) {
			if !yield(r, err) {
				return
			}
		}
	}
}
