package fibersession

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
)

// An ID that this package makes is 32 random bytes in base64url. A value of another syntax
// never reaches the storage.
const (
	idBytes  = 32
	idLength = 43

	// IDs of Config.KeyGenerator, Config.Builtin and Config.Express
	minForeignID = 16
	maxForeignID = 128
)

// lineage is the random identity that a session keeps when its ID changes. It is never sent
// to a client.
type lineage [16]byte

// fingerprint is the hash of an ID. The storage holds it instead of the ID.
type fingerprint [sha256.Size]byte

func fingerprintOf(id string) fingerprint { return sha256.Sum256([]byte(id)) }

// newIdentity makes a random ID and a random lineage.
func (s *Store) newIdentity() (id string, l lineage, err error) {
	var b [idBytes + len(l)]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", lineage{}, fmt.Errorf("%w: %w", ErrRandom, err)
	}
	copy(l[:], b[idBytes:])
	if s.ownIDs {
		return encodeID(b[:idBytes]), l, nil
	}
	if first := s.firstID.Swap(nil); first != nil {
		return *first, l, nil
	}
	id = s.KeyGenerator()
	if err := s.checkGenerated(id); err != nil {
		return "", lineage{}, fmt.Errorf("%w: KeyGenerator %w", ErrRandom, err)
	}
	return id, l, nil
}

// randomID is the default of Config.KeyGenerator. It returns "" if the source of randomness
// fails.
func (s *Store) randomID() string {
	var b [idBytes]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return ""
	}
	return encodeID(b[:])
}

func encodeID(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// checkGenerated returns an error if id, which KeyGenerator returned, cannot be an ID.
func (s *Store) checkGenerated(id string) error {
	if s.validID(id) {
		return nil
	}
	return fmt.Errorf("returned %d bytes that are not %d to %d characters of A-Z a-z 0-9 _ . ~ -", len(id), minForeignID, maxForeignID)
}

// validID reports whether id has the syntax of this store's IDs. Every ID from outside is
// checked before it is used.
func (s *Store) validID(id string) bool {
	if !s.foreignIDs {
		return len(id) == idLength && only(id, isBase64URL)
	}
	return len(id) >= minForeignID && len(id) <= maxForeignID && only(id, isUnreserved)
}

// only reports whether ok holds for every byte of s.
func only(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isBase64URL(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '_'
}

// isUnreserved reports whether b is unreserved in URLs (RFC 3986, section 2.3).
func isUnreserved(b byte) bool { return isBase64URL(b) || b == '.' || b == '~' }
