// Values that this build cannot decode: their sessions go on without them.

package fibersession

import (
	"strings"
	"sync"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// decode decodes the value stored at p, as the layout does, and reports values in it that this
// build cannot decode.
func (s *Store) decode(p place, data []byte) (meta, map[string]any, error) {
	m, values, err := s.layout.decode(p, data)
	if err != nil {
		return m, values, err
	}
	for key, v := range values {
		if u := codec.Undecodable(v); u != nil {
			s.stats.unknown.Add(1)
			s.reportUnknown(key, u)
		}
	}
	return m, values, nil
}

// reportUnknown logs a value that this build cannot decode, once for each key and type.
func (s *Store) reportUnknown(key string, u *codec.Stored) {
	name := u.Type()
	if len(name) > maxKeyLength {
		name = name[:maxKeyLength]
	}
	if !s.warnUnknown.first(key, name) {
		return
	}
	s.log.Warn("fibersession: a session has a value that this build cannot decode: Get returns nil for its key, saves write it back unchanged; "+
		"if this build should know the type, add Store.RegisterType at start", "key", key, "type", name, "error", u.Err())
}

// maxReported bounds how many pairs of key and type are logged.
const maxReported = 64

// reported remembers which keys and types were logged.
type reported struct {
	mu   sync.Mutex
	seen map[[2]string]struct{}
}

// first reports whether this is the first call with this pair.
func (r *reported) first(key, typ string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	pair := [2]string{key, typ}
	if _, again := r.seen[pair]; again || len(r.seen) >= maxReported {
		return false
	}
	if r.seen == nil {
		r.seen = make(map[[2]string]struct{})
	}
	r.seen[[2]string{strings.Clone(key), strings.Clone(typ)}] = struct{}{}
	return true
}
