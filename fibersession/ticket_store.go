package fibersession

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// A voucher is a secret that is good for one use of one session, soon. The storage
// holds it under its hash, with what it is good for encrypted by a key that only the
// voucher gives: who reads the storage learns neither it nor the session's ID.
// It is for the ID that the session has now: what happens at a login must not reach
// who got hold of the session before it.
type voucher struct {
	id    string // the session's
	bound []byte // what must be shown with it
}

// voucherKind is where vouchers of a kind are kept, after Config.Prefix.
type voucherKind string

const (
	voucherTicket voucherKind = "ticket:"
	voucherCookie voucherKind = "cookie:"
)

// The stored form: a byte of status, the deadline in Unix nanoseconds, and what is
// encrypted: the length of bound in two bytes, bound, the ID. A used one is kept, empty,
// for as long as it could have been used, to tell a second use from an invention.
const (
	voucherLive byte = 1
	voucherUsed byte = 2

	voucherHeader = 9
	voucherBytes  = 32 // of randomness
)

// issue makes a voucher.
func (s *Store) issue(ctx context.Context, kind voucherKind, v voucher) (token string, err error) {
	var secret [voucherBytes]byte
	if _, err := io.ReadFull(s.random, secret[:]); err != nil {
		return "", fmt.Errorf("%w: %w", ErrRandom, err)
	}
	token = base64.RawURLEncoding.EncodeToString(secret[:])
	key := s.voucherKey(kind, token)
	value := voucherHead(voucherLive, time.Now().Add(s.cfg.Timeouts.Ticket))
	plain := binary.BigEndian.AppendUint16(nil, uint16(len(v.bound)))
	plain = append(append(plain, v.bound...), v.id...)
	value = voucherCipher(kind, token).Seal(value, make([]byte, 12), plain, value)
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	// Kept for longer than it is good, to tell one that comes late from an invention.
	if _, err := s.storage.CompareAndSwap(ctx, key, storage.Absent, value, 2*s.cfg.Timeouts.Ticket); err != nil {
		s.stats.failures.Add(1)
		return "", storeError("ticket", key, err)
	}
	return token, nil
}

// redeem uses a voucher up. Whatever comes of it then, it is dead.
func (s *Store) redeem(ctx context.Context, kind voucherKind, token string) (voucher, error) {
	if len(token) != idLength || !only(token, isBase64URL) {
		return voucher{}, ErrTicketUnknown
	}
	key := s.voucherKey(kind, token)
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	item, err := s.storage.Load(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return voucher{}, ErrTicketUnknown
	}
	if err != nil {
		s.stats.failures.Add(1)
		return voucher{}, storeError("ticket", key, err)
	}
	v, deadline, err := openVoucher(kind, token, item.Value)
	if err != nil {
		return voucher{}, err
	}
	if !time.Now().Before(deadline) {
		return voucher{}, ErrTicketExpired
	}
	_, err = s.storage.CompareAndSwap(ctx, key, item.Revision, voucherHead(voucherUsed, deadline), 2*s.cfg.Timeouts.Ticket)
	if isConflict(err) {
		return voucher{}, ErrTicketUsed // at the same moment
	}
	if err != nil {
		s.stats.failures.Add(1)
		return voucher{}, storeError("ticket", key, err)
	}
	return v, nil
}

func openVoucher(kind voucherKind, token string, value []byte) (v voucher, deadline time.Time, err error) {
	if len(value) < voucherHeader {
		return v, deadline, ErrTicketUnknown
	}
	head, sealed := value[:voucherHeader], value[voucherHeader:]
	deadline = time.Unix(0, int64(binary.BigEndian.Uint64(head[1:])))
	if head[0] == voucherUsed {
		return v, deadline, ErrTicketUsed
	}
	plain, err := voucherCipher(kind, token).Open(nil, make([]byte, 12), sealed, head)
	if err != nil || head[0] != voucherLive || len(plain) < 2 {
		return v, deadline, ErrTicketUnknown // somebody else's value
	}
	size := int(binary.BigEndian.Uint16(plain))
	if size > len(plain)-2 {
		return v, deadline, ErrTicketUnknown
	}
	return voucher{bound: plain[2 : 2+size], id: string(plain[2+size:])}, deadline, nil
}

func voucherHead(status byte, deadline time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte{status}, uint64(deadline.UnixNano()))
}

func (s *Store) voucherKey(kind voucherKind, token string) string {
	sum := fingerprintOf(token)
	return s.cfg.Prefix + string(kind) + base64.RawURLEncoding.EncodeToString(sum[:])
}

// voucherCipher seals one value alone: its key is drawn for it, so that a nonce of
// zeros is never used twice.
func voucherCipher(kind voucherKind, token string) cipher.AEAD {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("fiberbridge voucher " + string(kind)))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic(err) // never: the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // never: the block has 16
	}
	return aead
}
