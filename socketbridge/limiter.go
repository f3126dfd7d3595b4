package socketbridge

import "time"

// patience is how long a client may go on sending faster than it should.
const patience = 3 * time.Second

// limiter bounds the packets and bytes of one connection with two token buckets.
// It is used by the reading goroutine alone.
type limiter struct {
	packets, bytes bucket
	last           time.Time // of the last packet
	debtSince      time.Time // when the client began to be slowed down; zero when it is not
	off            bool
}

// bucket is a token bucket that may go into debt. A rate of 0 is no limit.
type bucket struct {
	rate, burst, tokens float64
}

func (l *limiter) init(cfg Config) {
	if cfg.EventsPerSecond > 0 {
		l.packets = newBucket(cfg.EventsPerSecond, cfg.EventBurst)
	}
	if cfg.BytesPerSecond > 0 {
		l.bytes = newBucket(cfg.BytesPerSecond, max(cfg.BytesPerSecond, cfg.Engine.MaxPayload))
	}
	l.off = l.packets.rate == 0 && l.bytes.rate == 0
}

func newBucket(rate, burst int) bucket {
	return bucket{rate: float64(rate), burst: float64(burst), tokens: float64(burst)}
}

// take counts one packet of n bytes, and says how long to wait before the next is
// read. It returns ErrFlood when the client has been slowed down for as long as the
// server's patience.
func (l *limiter) take(n int) (time.Duration, error) {
	if l.off {
		return 0, nil
	}
	now := time.Now()
	elapsed := now.Sub(l.last)
	l.last = now
	wait := max(l.packets.take(1, elapsed), l.bytes.take(float64(n), elapsed))
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

// take refills the bucket for the time that passed, takes n tokens, and returns how
// long it takes to be out of debt.
func (b *bucket) take(n float64, elapsed time.Duration) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.tokens = min(b.burst, b.tokens+elapsed.Seconds()*b.rate) - n
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / b.rate * float64(time.Second))
}
