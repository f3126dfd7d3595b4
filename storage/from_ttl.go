package storage

import (
	"math"
	"time"
)

// roundUp returns the ttl that From gives to a Basic, 0 for none. Many drivers count
// whole seconds: some truncate the ttl, so that one of less than a second becomes 0 and
// the key stays for ever, others truncate the time at which the key expires, so that it
// expires up to a second early. With whole seconds and one more, neither happens.
func roundUp(ttl time.Duration) time.Duration {
	const longest = math.MaxInt64 / time.Second
	switch seconds := ttl / time.Second; {
	case ttl == 0:
		return 0
	case seconds >= longest-2:
		return ttl
	case ttl%time.Second == 0:
		return (seconds + 1) * time.Second
	default:
		return (seconds + 2) * time.Second
	}
}
