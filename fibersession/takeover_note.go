package fibersession

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
)

// The note under a used old ID is a magic, a nonce, and the new ID, encrypted with a key that
// is derived from the old ID. So it can be opened only with the old ID, and no other value in
// the storage is taken for one. It begins with a byte that no session of Fiber's begins with:
// a gob of 102 bytes would be a message of its own, and a map needs two.
const (
	oldIDNoteMagic = "fbo\x01"
	oldIDNoteNonce = 12
)

// sealOldIDNote returns the note that leads from an old ID to the new one.
func (s *Store) sealOldIDNote(oldID, newID string) ([]byte, error) {
	head := make([]byte, len(oldIDNoteMagic)+oldIDNoteNonce)
	copy(head, oldIDNoteMagic)
	nonce := head[len(oldIDNoteMagic):]
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRandom, err)
	}
	return oldIDCipher(oldID).Seal(head, nonce, []byte(newID), []byte(oldIDNoteMagic)), nil
}

// openOldIDNote returns the new ID in a note. ok is false if value is no note of this old ID.
func (s *Store) openOldIDNote(oldID string, value []byte) (newID string, ok bool) {
	const head = len(oldIDNoteMagic) + oldIDNoteNonce
	if len(value) < head || string(value[:len(oldIDNoteMagic)]) != oldIDNoteMagic {
		return "", false
	}
	plain, err := oldIDCipher(oldID).Open(nil, value[len(oldIDNoteMagic):head], value[head:], []byte(oldIDNoteMagic))
	if err != nil || !s.validID(string(plain)) {
		return "", false
	}
	return string(plain), true
}

func oldIDCipher(oldID string) cipher.AEAD {
	mac := hmac.New(sha256.New, []byte(oldID))
	mac.Write([]byte("fiberbridge old login")) // part of the stored form
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic(err) // unreachable: the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // unreachable: AES blocks have 16 bytes
	}
	return aead
}
