package fibersession

import (
	"context"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// oneTimeToken is what a token can be redeemed for, once and within Timeouts.Ticket. A
// token is a random secret. The storage holds the oneTimeToken under the secret's hash and
// encrypted with a key derived from the secret, so that a reader of the storage learns
// neither the secret nor the session ID. It names the session's ID of now, not its lineage:
// a token issued before a login must not give access to the session after it.
type oneTimeToken struct {
	id    string // of the session
	bound []byte // what must be presented together with the token
}

// tokenKind begins the keys of one kind of token, after Config.Prefix.
type tokenKind string

const (
	ticketToken tokenKind = "t:"
	cookieToken tokenKind = "c:"
)

// The stored form is a status byte, the deadline in Unix nanoseconds, and the encrypted
// part: the length of bound in two bytes, bound, and the ID. A used token is kept without
// the encrypted part until it would have expired, so that its second use can be told from
// an unknown token.
const (
	tokenUnused byte = 1
	tokenUsed   byte = 2

	tokenHeader = 9
	tokenBytes  = 32 // of randomness
)

// issueToken stores t and returns the secret to redeem it with.
func (s *Store) issueToken(ctx context.Context, kind tokenKind, t oneTimeToken) (secret string, err error) {
	var b [tokenBytes]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("%w: %w", ErrRandom, err)
	}
	secret = base64.RawURLEncoding.EncodeToString(b[:])
	key := s.tokenKey(kind, secret)
	value := encodeTokenHeader(tokenUnused, time.Now().Add(s.Config.Timeouts.Ticket))
	plain := binary.BigEndian.AppendUint16(nil, uint16(len(t.bound)))
	plain = append(append(plain, t.bound...), t.id...)
	value = tokenCipher(kind, secret).Seal(value, make([]byte, 12), plain, value)
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	// The value outlives the deadline, so that an expired token can be told from an
	// unknown one.
	if _, err := s.storage.CompareAndSwap(ctx, key, storage.Absent, value, 2*s.Config.Timeouts.Ticket); err != nil {
		s.stats.failures.Add(1)
		return "", s.storeError("ticket", key, err)
	}
	return secret, nil
}

// redeemToken marks a token as used and returns what it stands for. The token stays used
// even if the caller then rejects it.
func (s *Store) redeemToken(ctx context.Context, kind tokenKind, secret string) (oneTimeToken, error) {
	if len(secret) != idLength || !only(secret, isBase64URL) {
		return oneTimeToken{}, ErrTicketUnknown
	}
	key := s.tokenKey(kind, secret)
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	item, err := s.storage.Load(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return oneTimeToken{}, ErrTicketUnknown
	}
	if err != nil {
		s.stats.failures.Add(1)
		return oneTimeToken{}, s.storeError("ticket", key, err)
	}
	t, deadline, err := decodeToken(kind, secret, item.Value)
	if err != nil {
		return oneTimeToken{}, err
	}
	if !time.Now().Before(deadline) {
		return oneTimeToken{}, ErrTicketExpired
	}
	_, err = s.storage.CompareAndSwap(ctx, key, item.Revision, encodeTokenHeader(tokenUsed, deadline), 2*s.Config.Timeouts.Ticket)
	if isConflict(err) {
		return oneTimeToken{}, ErrTicketUsed // by a concurrent call
	}
	if err != nil {
		s.stats.failures.Add(1)
		return oneTimeToken{}, s.storeError("ticket", key, err)
	}
	return t, nil
}

func decodeToken(kind tokenKind, secret string, value []byte) (t oneTimeToken, deadline time.Time, err error) {
	if len(value) < tokenHeader {
		return t, deadline, ErrTicketUnknown
	}
	header, sealed := value[:tokenHeader], value[tokenHeader:]
	deadline = time.Unix(0, int64(binary.BigEndian.Uint64(header[1:])))
	if header[0] == tokenUsed {
		return t, deadline, ErrTicketUsed
	}
	plain, err := tokenCipher(kind, secret).Open(nil, make([]byte, 12), sealed, header)
	if err != nil || header[0] != tokenUnused || len(plain) < 2 {
		return t, deadline, ErrTicketUnknown // the value belongs to another token
	}
	size := int(binary.BigEndian.Uint16(plain))
	if size > len(plain)-2 {
		return t, deadline, ErrTicketUnknown
	}
	return oneTimeToken{bound: plain[2 : 2+size], id: string(plain[2+size:])}, deadline, nil
}

func encodeTokenHeader(status byte, deadline time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte{status}, uint64(deadline.UnixNano()))
}

func (s *Store) tokenKey(kind tokenKind, secret string) string {
	sum := fingerprintOf(secret)
	return s.Config.Prefix + string(kind) + base64.RawURLEncoding.EncodeToString(sum[:])
}

// tokenCipher returns a cipher for one value. A zero nonce is safe, because the key is
// derived from the token's secret and never encrypts a second value.
func tokenCipher(kind tokenKind, secret string) cipher.AEAD {
	return derivedCipher(secret, "fiberbridge voucher "+string(kind)) // part of the stored form
}
