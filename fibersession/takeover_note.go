package fibersession

import (
	"crypto/cipher"
	"fmt"
	"io"
	"time"
)

// The note under a used old ID is a magic, a nonce, and, encrypted with a key that is derived
// from the old ID, when it ends in Unix nanoseconds (0: with the session) and the new ID. So it
// can be opened only with the old ID, and no other value in the storage is taken for one. To
// Fiber's middleware it is no session.
const (
	oldIDNoteMagic = "fbo\x01"
	oldIDNoteHead  = len(oldIDNoteMagic) + 12
)

// oldIDNote leads from an old ID to the new one.
type oldIDNote struct {
	newID string
	ends  time.Time // zero: with the session
}

// sealOldIDNote encodes the note of an old ID.
func (s *Store) sealOldIDNote(oldID string, n oldIDNote) ([]byte, error) {
	head := make([]byte, oldIDNoteHead)
	copy(head, oldIDNoteMagic)
	nonce := head[len(oldIDNoteMagic):]
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRandom, err)
	}
	plain := make([]byte, 8, 8+len(n.newID))
	putTime(plain, n.ends)
	return oldIDCipher(oldID).Seal(head, nonce, append(plain, n.newID...), []byte(oldIDNoteMagic)), nil
}

// openOldIDNote decodes the note of an old ID. ok is false if value is none.
func openOldIDNote(oldID string, value []byte) (n oldIDNote, ok bool) {
	if len(value) < oldIDNoteHead || string(value[:len(oldIDNoteMagic)]) != oldIDNoteMagic {
		return n, false
	}
	nonce, sealed := value[len(oldIDNoteMagic):oldIDNoteHead], value[oldIDNoteHead:]
	plain, err := oldIDCipher(oldID).Open(nil, nonce, sealed, []byte(oldIDNoteMagic))
	if err != nil || len(plain) < 8 {
		return n, false
	}
	return oldIDNote{newID: string(plain[8:]), ends: getTime(plain)}, true
}

func oldIDCipher(oldID string) cipher.AEAD {
	return derivedCipher(oldID, "fiberbridge old login") // part of the stored form
}
