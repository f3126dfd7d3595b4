package socketbridge

import "time"

// patience is how long a client may go on sending faster than it should.
const patience = 3 * time.Second

// rates are what all clients of a server may send.
type rates struct {
	packets, bytes rate
}

// rate is so many a second, and so many at once. A rate of 0 is no limit.
type rate struct {
	perSecond, burst float64
}

// newRates returns nil when there are no limits.
func newRates(cfg Config) *rates {
	var r rates
	if cfg.Limits.EventsPerSecond > 0 {
		r.packets = rate{float64(cfg.Limits.EventsPerSecond), float64(2 * cfg.Limits.EventsPerSecond)}
	}
	if cfg.Limits.BytesPerSecond > 0 {
		r.bytes = rate{float64(cfg.Limits.BytesPerSecond), float64(max(cfg.Limits.BytesPerSecond, cfg.Engine.MaxPayload))}
	}
	if r == (rates{}) {
		return nil
	}
	return &r
}

// limiter bounds the packets and bytes of one connection with two token buckets, which
// may go into debt. It is used by the reading goroutine alone.
type limiter struct {
	rates          *rates    // nil: no limits
	packets, bytes float64   // tokens that are left
	last           time.Time // of the last packet
	debtSince      time.Time // when the client began to be slowed down; zero when it is not
}

func (l *limiter) init(r *rates) {
	if l.rates = r; r != nil {
		l.packets, l.bytes = r.packets.burst, r.bytes.burst
	}
}

// take counts one packet of n bytes, and says how long to wait before the next is
// read. It returns ErrFlood when the client has been slowed down for as long as the
// server's patience.
func (l *limiter) take(n int) (time.Duration, error) {
	if l.rates == nil {
		return 0, nil
	}
	now := time.Now()
	elapsed := now.Sub(l.last)
	l.last = now
	wait := max(l.rates.packets.take(&l.packets, 1, elapsed), l.rates.bytes.take(&l.bytes, float64(n), elapsed))
	switch {
	case wait <= 0:
		l.debtSince = time.Time{}
		return 0, nil
	case l.debtSince.IsZero():
		l.debtSince = now
	case now.Sub(l.debtSince) >= patience:
		return 0, ErrFlood
	}
	return wait, nil
}

// take refills tokens for the time that passed, takes n of them, and returns how long
// it takes to be out of debt.
func (r rate) take(tokens *float64, n float64, elapsed time.Duration) time.Duration {
	if r.perSecond == 0 {
		return 0
	}
	*tokens = min(r.burst, *tokens+elapsed.Seconds()*r.perSecond) - n
	if *tokens >= 0 {
		return 0
	}
	return time.Duration(-*tokens / r.perSecond * float64(time.Second))
}
