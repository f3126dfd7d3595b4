// Values that this build cannot decode: their sessions go on without them.

package fibersession

import (
	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/internal/notice"
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
			s.reportUnknown(key, u)
		}
	}
	return m, values, nil
}

// reportUnknown reports a value that this build cannot decode. It is logged once for each
// key and type.
func (s *Store) reportUnknown(key string, u *codec.Stored) {
	name := u.Type()
	s.notices.Report(&valueUnknownNotice, key+"\x00"+name, "key", notice.Text(key), "type", notice.Text(name), "error", u.Err())
}
