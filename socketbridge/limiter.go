package socketbridge

import "time"

// floodTimeout is how long a client can stay over its limits before it is disconnected.
const floodTimeout = 3 * time.Second

// rateLimits bound what each client of a server may send.
type rateLimits struct {
	packets, bytes tokenRate
}

// tokenRate is the refill rate and the capacity of a token bucket. A refill rate of 0
// means no limit.
type tokenRate struct {
	perSecond, burst float64
}

// newRateLimits returns nil if cfg sets no limits.
func newRateLimits(cfg Config) *rateLimits {
	var r rateLimits
	if cfg.Limits.EventsPerSecond > 0 {
		r.packets = tokenRate{float64(cfg.Limits.EventsPerSecond), float64(2 * cfg.Limits.EventsPerSecond)}
	}
	if cfg.Limits.BytesPerSecond > 0 {
		// One message of MaxPayload is legal, so it must always pass without a delay.
		r.bytes = tokenRate{float64(cfg.Limits.BytesPerSecond), float64(max(cfg.Limits.BytesPerSecond, cfg.Engine.MaxPayload))}
	}
	if r == (rateLimits{}) {
		return nil
	}
	return &r
}

// limiter bounds the packets and bytes of one connection with two token buckets whose
// level can fall below zero. Only the reader goroutine uses it.
type limiter struct {
	rates          *rateLimits // nil without limits
	packets, bytes float64     // tokens left
	last           time.Time   // when the last packet was counted
	overSince      time.Time   // when the client went over its limits; zero while it is within them
}

func (l *limiter) init(r *rateLimits) {
	if l.rates = r; r != nil {
		l.packets, l.bytes = r.packets.burst, r.bytes.burst
	}
}

// count counts one packet of n bytes and returns how long to delay it. It returns
// ErrFlood if the client has been over its limits for floodTimeout.
func (l *limiter) count(n int) (time.Duration, error) {
	if l.rates == nil {
		return 0, nil
	}
	now := time.Now()
	elapsed := now.Sub(l.last)
	l.last = now
	wait := max(l.rates.packets.spend(&l.packets, 1, elapsed), l.rates.bytes.spend(&l.bytes, float64(n), elapsed))
	switch {
	case wait <= 0:
		l.overSince = time.Time{}
		return 0, nil
	case l.overSince.IsZero():
		l.overSince = now
	case now.Sub(l.overSince) >= floodTimeout:
		return 0, ErrFlood
	}
	return wait, nil
}

// spend refills tokens for the elapsed time, removes n of them, and returns how long it
// takes until the level is no longer negative.
func (r tokenRate) spend(tokens *float64, n float64, elapsed time.Duration) time.Duration {
	if r.perSecond == 0 {
		return 0
	}
	*tokens = min(r.burst, *tokens+elapsed.Seconds()*r.perSecond) - n
	if *tokens >= 0 {
		return 0
	}
	return time.Duration(-*tokens / r.perSecond * float64(time.Second))
}
