package engineio

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// connLimiter counts connections, in total and per network, before anything is allocated
// for them. A network is given by its first address; see limitedNetwork.
type connLimiter struct {
	maxConns int // 0: no limit
	maxPerIP int // negative: no limit
	rate     int // per second and network; negative: no limit

	conns  atomic.Int64
	seed   maphash.Seed // a client cannot choose its shard
	seeded sync.Once
	swept  atomic.Uint32 // the number of calls of evictIdle: each is for the next shard
	shards [limiterShards]limiterShard
}

// limiterShards is the number of parts that the networks are divided into. The work that
// grows with the number of networks is done for one part at a time, under that part's lock.
const limiterShards = 64

type limiterShard struct {
	mu       sync.Mutex
	networks map[netip.Addr]*networkUsage
	peak     int // the most networks since the map was made
	moved    int // networks that were moved to a smaller map at once, at most; for tests
}

// networkUsage is the usage of one network. It is deleted when the network has no
// connection and its rate allows a full burst again.
type networkUsage struct {
	conns int
	next  time.Time // when the recent connections would be due at the allowed rate
}

// acquire counts a connection from a network; the zero Addr counts in total only. If it
// returns nil, the caller must call release once, when the connection has ended or could not
// be created.
func (l *connLimiter) acquire(network netip.Addr, now time.Time) *Error {
	if n := l.conns.Add(1); l.maxConns > 0 && n > int64(l.maxConns) {
		l.conns.Add(-1)
		return errFull
	}
	if !network.IsValid() || l.maxPerIP < 0 && l.rate <= 0 {
		return nil
	}
	l.shards[l.swept.Add(1)%limiterShards].evictIdle(now)
	if err := l.shard(network).acquire(l, network, now); err != nil {
		l.conns.Add(-1)
		return err
	}
	return nil
}

func (l *connLimiter) shard(network netip.Addr) *limiterShard {
	l.seeded.Do(func() { l.seed = maphash.MakeSeed() })
	return &l.shards[maphash.Comparable(l.seed, network)%limiterShards]
}

func (s *limiterShard) acquire(l *connLimiter, network netip.Addr, now time.Time) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.networks[network]
	if u == nil {
		u = &networkUsage{}
	}
	if l.maxPerIP >= 0 && u.conns >= l.maxPerIP {
		return errTooMany
	}
	if l.rate > 0 {
		if u.next.Before(now) {
			u.next = now
		}
		next := u.next.Add(time.Second / time.Duration(l.rate))
		if next.After(now.Add(time.Second)) { // a burst may have one second's worth
			return errTooMany
		}
		u.next = next
	}
	u.conns++
	if s.networks == nil {
		s.networks = make(map[netip.Addr]*networkUsage)
	}
	s.networks[network] = u
	s.peak = max(s.peak, len(s.networks))
	return nil
}

// release undoes one acquire.
func (l *connLimiter) release(network netip.Addr, now time.Time) {
	l.conns.Add(-1)
	s := l.shard(network)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.networks[network]; u != nil {
		u.conns--
		if u.conns == 0 && !u.next.After(now) {
			s.remove(network)
		}
	}
}

// evictIdle checks up to two networks and deletes the idle ones. Since at most one is added
// per call, to any shard, the maps stay about as small as the number of networks of the last
// second.
func (s *limiterShard) evictIdle(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for network, u := range s.networks {
		if u.conns == 0 && !u.next.After(now) {
			s.remove(network)
		}
		if n++; n == 2 {
			return
		}
	}
}

// minShrink is the size from which a map of networks is replaced when it is nearly empty.
const minShrink = 64

// remove deletes a network. A map keeps the memory of its largest size, and going through it
// takes as long as then. So a map that was large and is nearly empty is replaced.
func (s *limiterShard) remove(network netip.Addr) {
	delete(s.networks, network)
	if s.peak < minShrink || len(s.networks) > s.peak/8 {
		return
	}
	smaller := make(map[netip.Addr]*networkUsage, len(s.networks))
	for network, u := range s.networks {
		smaller[network] = u
	}
	s.networks, s.peak, s.moved = smaller, len(smaller), max(s.moved, len(smaller))
}

// len returns the number of networks.
func (l *connLimiter) len() (n int) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.networks)
		s.mu.Unlock()
	}
	return n
}

// limitedNetwork returns the first address of the network that addr is counted under: the
// address itself, or for IPv6 its /64.
func limitedNetwork(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return addr
	}
	network, _ := addr.Prefix(64)
	return network.Addr()
}
