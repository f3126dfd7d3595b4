package codec

// Stored is a value of a session that gob encoded, with its encoding. As long as the value is
// not set again, every save writes the same bytes. So a node whose type has fewer fields, or
// that does not know the type at all, loses nothing of what another node stored.
//
// A session's values hold it in place of the value itself. Value returns that. A Stored is
// immutable.
type Stored struct {
	value any
	raw   string // as the codec encoded it
	typ   string // the type's name
	err   error  // why this build cannot decode it; nil if it can
	basic any    // of an undecodable value that is a bool, a number or a string: that, else nil
}

// Type returns the name of the value's type.
func (s *Stored) Type() string { return s.typ }

// Err returns why this build cannot decode the value. It returns nil if it can.
func (s *Stored) Err() error { return s.err }

// Value returns a session's value, which may be a Stored. It returns nil for one that this
// build cannot decode.
func Value(v any) any {
	if s, ok := v.(*Stored); ok {
		return s.value
	}
	return v
}

// Basic is Value, except that for an undecodable value of a named type it returns the bool,
// int64, uint64 or string that the type is made of, if it is. ok is false if the value cannot
// be decoded at all.
func Basic(v any) (basic any, ok bool) {
	s, isStored := v.(*Stored)
	switch {
	case !isStored:
		return v, true
	case s.err != nil:
		return s.basic, s.basic != nil
	}
	return s.value, true
}

// Undecodable returns v if it is a value that this build cannot decode, else nil.
func Undecodable(v any) *Stored {
	if s, ok := v.(*Stored); ok && s.err != nil {
		return s
	}
	return nil
}

// SameBytes compares two values of which one is a Stored that this build cannot decode. It
// compares the encoding. decided is false for other values, unless they are the same bytes.
func SameBytes(v, w any) (same, decided bool) {
	s, ok1 := v.(*Stored)
	t, ok2 := w.(*Stored)
	switch {
	case ok1 && ok2 && s.raw == t.raw:
		return true, true
	case ok1 && s.err != nil, ok2 && t.err != nil:
		return false, true
	}
	return false, false
}

// plain returns values without Stored. It drops those that this build cannot decode, and returns
// their keys.
func plain(values map[string]any) (known map[string]any, skipped []string) {
	for key, v := range values {
		s, ok := v.(*Stored)
		switch {
		case !ok:
		case s.err != nil:
			skipped = append(skipped, key)
			delete(values, key)
		default:
			values[key] = s.value
		}
	}
	return values, skipped
}
