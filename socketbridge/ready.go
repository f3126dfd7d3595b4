package socketbridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

const (
	// readyTimeout is shorter than the second that Kubernetes and HAProxy wait for an answer
	// by default.
	readyTimeout = 800 * time.Millisecond
	// readyInterval is how long the result of a check is used.
	readyInterval = 500 * time.Millisecond
	// readyStart is how long a new server may take to become ready without a line in the log.
	readyStart = 10 * time.Second
)

// Ready reports whether this node can serve clients: it returns nil if the storage of the
// sessions and the adapter answer within 0.8 s, and ErrShutdown once Shutdown was called. Any
// other error has the cause, for the log. It also returns an error if ctx ends first.
//
// Concurrent calls share one check, and its result is used for half a second. So any number of
// health checks costs two requests to the storage and two to the adapter per second.
//
// Use it to decide whether a load balancer sends clients here, not whether the process is to be
// restarted: a restart does not help against a storage that is down.
func (s *Server) Ready(ctx context.Context) error {
	check := s.readiness.latest(s)
	if check == nil {
		return ErrShutdown
	}
	select {
	case <-check.done:
		return check.err
	case <-ctx.Done():
		return fmt.Errorf("socketbridge: readiness is not known yet: %w", ctx.Err())
	}
}

// ReadyHandler returns a handler for health checks by load balancers. It answers with 200 and
// "ready", or with 503 and "draining" after Shutdown was called, or with 503 and "not ready". The
// log says why, except in the first 10 s of a server that was not ready yet, while its adapter
// connects; the answer does not. Mount it before the session middleware, with any path:
//
//	app.Get("/readyz", io.ReadyHandler())
func (s *Server) ReadyHandler() fiber.Handler {
	return func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderCacheControl, "no-store")
		switch err := s.Ready(c.UserContext()); {
		case err == nil:
			return c.SendString("ready")
		case errors.Is(err, ErrShutdown):
			return c.Status(fiber.StatusServiceUnavailable).SendString("draining")
		default:
			if !s.readiness.isStarting() {
				s.notices.Report(&notReadyNotice, "", "error", err)
			}
			return c.Status(fiber.StatusServiceUnavailable).SendString("not ready")
		}
	}
}

// readiness coalesces the checks of Ready.
type readiness struct {
	mu     sync.Mutex // guards the fields below
	began  time.Time  // when the server was created
	ready  bool       // a check has succeeded
	check  *readyCheck
	closed bool
}

// readyCheck is one check.
type readyCheck struct {
	began time.Time
	done  chan struct{} // closed when err is set, at most readyTimeout after began
	err   error
	ended bool // all probes have returned; guarded by readiness.mu
}

// readyProbe verifies that something answers.
type readyProbe struct {
	name string
	ping func(ctx context.Context) error
}

// isStarting reports whether the server is new, and was never ready.
func (r *readiness) isStarting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.ready && time.Since(r.began) < readyStart
}

// close makes Ready return ErrShutdown, and begins no further check.
func (r *readiness) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
}

// latest returns the check whose result is to be used, or nil after close. A probe that ignores
// its context keeps its check the latest, because another one would only hang beside it.
func (r *readiness) latest(s *Server) *readyCheck {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil
	case r.check != nil && (!r.check.ended || time.Since(r.check.began) < readyInterval):
		return r.check
	}
	r.check = &readyCheck{began: time.Now(), done: make(chan struct{})}
	s.running.Add()
	go r.run(s, r.check) // Server.Shutdown waits for it
	return r.check
}

// run runs a check.
func (r *readiness) run(s *Server, check *readyCheck) {
	defer s.running.Done()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	probes := s.readyProbes()
	results := make([]chan error, len(probes))
	var running sync.WaitGroup
	for i, p := range probes {
		results[i] = make(chan error, 1)
		running.Go(func() { // waited for below
			err := errPanic
			s.guard(p.name, func() { err = p.ping(ctx) })
			results[i] <- err
		})
	}
	for i, p := range probes {
		err := error(nil)
		select {
		case err = <-results[i]:
		case <-ctx.Done():
			select {
			case err = <-results[i]:
			default:
				err = fmt.Errorf("no answer in %v", readyTimeout)
			}
		}
		if err != nil {
			check.err = errors.Join(check.err, fmt.Errorf("socketbridge: %s is not ready: %w", p.name, err))
		}
	}
	close(check.done)
	running.Wait()
	r.mu.Lock()
	check.ended = true
	r.ready = r.ready || check.err == nil
	r.mu.Unlock()
}

// readyProbes returns what a node needs in order to serve clients.
func (s *Server) readyProbes() (probes []readyProbe) {
	if s.cfg.Sessions != nil {
		probes = append(probes, readyProbe{"Config.Sessions.Storage", func(ctx context.Context) error {
			return storage.Ping(ctx, s.cfg.Sessions.Backend())
		}})
	}
	if s.cfg.Adapter == nil {
		return probes
	}
	return append(probes, readyProbe{"Config.Adapter", func(ctx context.Context) error {
		if p, ok := s.cfg.Adapter.(adapter.Pinger); ok {
			return p.Ping(ctx)
		}
		_, err := s.cfg.Adapter.Nodes(ctx, "/")
		return err
	}})
}
