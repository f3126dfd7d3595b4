package fibersession

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
)

// An ID of our own making is 32 random bytes in base64url. Other syntax never
// reaches the store.
const (
	idBytes  = 32
	idLength = 43

	minForeignID = 16  // of Config.KeyGenerator, Config.Builtin and Config.Express
	maxForeignID = 128 //
)

// lineage is a session's identity for life. It survives Regenerate and is never
// sent anywhere.
type lineage [16]byte

// fingerprint is the hash of an ID: what the store knows of it.
type fingerprint [sha256.Size]byte

func fingerprintOf(id string) fingerprint { return sha256.Sum256([]byte(id)) }

// newIdentity draws an ID and a lineage.
func (s *Store) newIdentity() (id string, l lineage, err error) {
	var b [idBytes + len(l)]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", lineage{}, fmt.Errorf("%w: %w", ErrRandom, err)
	}
	copy(l[:], b[idBytes:])
	if s.cfg.KeyGenerator == nil {
		return base64.RawURLEncoding.EncodeToString(b[:idBytes]), l, nil
	}
	if id = s.cfg.KeyGenerator(); !s.validID(id) {
		return "", lineage{}, fmt.Errorf("%w: KeyGenerator made %d bytes that are not %d to %d characters of A-Z a-z 0-9 _ . ~ -",
			ErrRandom, len(id), minForeignID, maxForeignID)
	}
	return id, l, nil
}

// validID says whether id can be one of this store's. It is asked before every
// use of an ID that came from outside.
func (s *Store) validID(id string) bool {
	if s.cfg.KeyGenerator == nil && s.cfg.Express == nil {
		return len(id) == idLength && only(id, isBase64URL)
	}
	return len(id) >= minForeignID && len(id) <= maxForeignID && only(id, isUnreserved)
}

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

func isUnreserved(b byte) bool { return isBase64URL(b) || b == '.' || b == '~' }
