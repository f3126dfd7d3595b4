package engineio

import (
	"fmt"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

const (
	// floodTimeout is how long a client can stay over a limit before its connection is
	// closed.
	floodTimeout = 3 * time.Second

	// paidFragment is the size from which on a fragment of a message counts by its bytes
	// only. Many clients send a large message in fragments of 4 KiB or 16 KiB: a message is
	// one packet for them too.
	paidFragment = 1 << 10
)

// rates bound what each client of a server may send.
type rates struct {
	packets, bytes tokenRate
}

// tokenRate is the refill rate and the capacity of a token bucket.
type tokenRate struct {
	perSecond int           // 0 means no limit
	token     float64       // the time in which one token is refilled, in nanoseconds
	burst     time.Duration // the capacity, as the time in which the empty bucket is refilled
}

// newRates returns nil if cfg sets no limits.
func newRates(cfg Config) *rates {
	var r rates
	if n := cfg.Limits.PacketsPerSecond; n > 0 {
		r.packets = newTokenRate(n, 2*n)
	}
	if n := cfg.Limits.BytesPerSecond; n > 0 {
		// One message of MaxPayload must always pass without a delay, also in fragments of
		// paidFragment, whose headers take 8 bytes each.
		largest := cfg.MaxPayload + cfg.MaxPayload/(paidFragment/8) + wsframe.MaxHeader
		r.bytes = newTokenRate(n, max(n, largest))
	}
	if r == (rates{}) {
		return nil
	}
	return &r
}

func newTokenRate(perSecond, burst int) tokenRate {
	r := tokenRate{perSecond: perSecond, token: float64(time.Second) / float64(perSecond)}
	r.burst = r.take(burst)
	return r
}

// take returns the time in which n tokens are refilled.
func (r *tokenRate) take(n int) time.Duration { return time.Duration(float64(n) * r.token) }

// bucket is a token bucket whose level can fall below zero. The zero value is full.
type bucket struct {
	full      time.Duration // when it is full again, by Server.now
	overSince time.Duration // when its level fell below zero, by Server.now; 0 while it is above
}

// spend takes n tokens and returns how long it takes until the level is no longer negative,
// and whether it has been negative, whenever tokens were taken, for floodTimeout.
func (b *bucket) spend(r *tokenRate, n int, now time.Duration) (wait time.Duration, flood bool) {
	if r.perSecond == 0 || n == 0 {
		return 0, false
	}
	b.full = max(b.full, now) + r.take(n)
	switch wait = b.full - now - r.burst; {
	case wait <= 0:
		b.overSince = 0
		return 0, false
	case b.overSince == 0:
		b.overSince = max(1, now)
	}
	return wait, now-b.overSince >= floodTimeout
}

// rateLimiter counts what one client sends: one packet for each frame and each packet in a
// polling body, of whatever type, and the bytes of both.
type rateLimiter struct {
	mu             sync.Mutex
	packets, bytes bucket
}

// count counts packets and bytes and returns how long to delay the client. It returns an
// error that wraps ErrFlood if the client has been over a limit for floodTimeout.
func (l *rateLimiter) count(r *rates, packets, bytes int, now time.Duration) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, floodP := l.packets.spend(&r.packets, packets, now)
	b, floodB := l.bytes.spend(&r.bytes, bytes, now)
	switch {
	case floodP:
		return 0, fmt.Errorf("%w: more than %d packets per second", ErrFlood, r.packets.perSecond)
	case floodB:
		return 0, fmt.Errorf("%w: more than %d bytes per second", ErrFlood, r.bytes.perSecond)
	}
	return max(p, b), nil
}

// limit counts what the client has sent, before its type is looked at. It delays its caller,
// which is a goroutine that reads from the client, while the client is over its limits. It
// returns an error if the connection has ended, or if it has closed it because of a flood.
func (c *conn) limit(packets, bytes int) error {
	r := c.server.rates
	if r == nil {
		return nil
	}
	wait, err := c.rate.count(r, packets, bytes, c.server.now())
	if err != nil {
		f := rateFailure(err)
		c.close(f.reason, f.cause, f.code)
		return err
	}
	if wait <= 0 {
		return nil
	}
	c.server.notices.Report(&slowedDownNotice, "", "remote", (*loggedConn)(c))
	c.out.Resume()
	if !pause(wait, c.stopped.Done()) {
		return transport.ErrClosed
	}
	return nil
}

// pause returns after d. It returns false, and earlier, if stop is closed.
func pause(d time.Duration, stop <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stop:
		return false
	}
}

// rateFailure returns how a connection ends after limit has returned err.
func rateFailure(err error) *failure {
	return &failure{reason: transport.ForcedClose, code: wsframe.NormalClosure, cause: err, refused: true}
}
