package redisadapter

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/setting"
)

// A signed message is a signature and the message. A signature is, in big-endian order:
//
//	 0  magic, version 1. Neither JSON nor the MessagePack of a message begins with it
//	 4  time, in Unix milliseconds of Redis's clock
//	12  nonce, so that equal messages of the same millisecond differ
//	20  HMAC-SHA-256 over the place (see channelPlace), time, nonce and message
//
// An entry of a stream has its signature in a field of its own, in base64.
const (
	signMagic = "\x00fb\x01"
	signSize  = 20 + sha256.Size
)

// minSecret is the least number of bytes of a secret. Shorter ones could be guessed.
const minSecret = 32

// maxAge is how far the time of a message may be from the time at which it arrives. It covers
// slow publishes and the different clocks of the masters of a Redis Cluster.
const maxAge = 30 * time.Second

var (
	errUnsigned = errors.New("redisadapter: message is not signed")
	errForged   = errors.New("redisadapter: message has no valid signature")
	errReplayed = errors.New("redisadapter: message is old, or a copy")
)

// The place of a message is what a signature is valid for: a message that is copied to
// another channel, stream or key is refused. The names contain Config.Key and the namespace.
func channelPlace(channel string) string { return "channel " + channel }
func streamPlace(key string) string      { return "stream " + key }
func statePlace(key string) string       { return "state " + key }

// signer signs the messages of this node and verifies those of other nodes: see
// Config.Secrets. Without secrets, it signs nothing and accepts everything. It is safe for
// concurrent use.
type signer struct {
	secrets        [][]byte // the first one signs
	acceptUnsigned bool
	clock          func() (now time.Time, ok bool) // of Redis
	seen           replayMemory
}

func newSigner(cfg *Config, clock func() (time.Time, bool)) *signer {
	s := &signer{acceptUnsigned: cfg.AcceptUnsigned, clock: clock}
	for _, secret := range cfg.Secrets {
		s.secrets = append(s.secrets, slices.Clone(secret))
	}
	return s
}

// checkSecrets panics if the fields about signatures contradict each other.
func checkSecrets(cfg *Config) {
	for i, secret := range cfg.Secrets {
		if len(secret) < minSecret {
			setting.Refuse(field("Secrets"), fmt.Sprintf("has %d bytes in number %d: each needs at least %d", len(secret), i+1, minSecret))
		}
	}
	switch {
	case cfg.AcceptUnsigned && len(cfg.Secrets) == 0:
		setting.Refuse(field("AcceptUnsigned"), "is true without Config.Secrets: there is nothing to accept besides")
	case cfg.SharedResponses && len(cfg.Secrets) > 0:
		setting.Refuse(field("SharedResponses"), "is true with Config.Secrets: it is for clusters with servers for Node, which cannot sign")
	}
}

func (s *signer) isOn() bool { return len(s.secrets) > 0 }

// seal returns a message with its signature.
func (s *signer) seal(place string, data []byte) ([]byte, error) {
	if !s.isOn() {
		return data, nil
	}
	sig, err := s.sign(place, data)
	return append(sig, data...), err
}

// open returns the message without its signature, after it has verified it. Its errors are
// errUnsigned, errForged and errReplayed.
func (s *signer) open(place string, data []byte) (message []byte, signed bool, err error) {
	sig, message := cutSignature(data)
	switch {
	case sig == nil:
		return data, false, s.refuseUnsigned()
	case !s.isOn():
		return message, true, nil // of a node that has secrets already
	}
	now, ok := s.clock()
	if !ok {
		return nil, true, errReplayed
	}
	id, err := s.verify(place, sig, now, message)
	if err == nil && !s.seen.add(id, now) {
		err = errReplayed
	}
	return message, true, err
}

func (s *signer) refuseUnsigned() error {
	if s.isOn() && !s.acceptUnsigned {
		return errUnsigned
	}
	return nil
}

// cutSignature returns the signature and the message, or nil if there is no signature.
func cutSignature(data []byte) (sig, message []byte) {
	if len(data) < signSize || string(data[:len(signMagic)]) != signMagic {
		return nil, data
	}
	return data[:signSize:signSize], data[signSize:]
}

// sign returns the signature of a message in several parts.
func (s *signer) sign(place string, parts ...[]byte) ([]byte, error) {
	now, ok := s.clock()
	if !ok {
		return nil, notSentError{errNoClock}
	}
	sig := make([]byte, 20, signSize+512)
	copy(sig, signMagic)
	binary.BigEndian.PutUint64(sig[4:], uint64(now.UnixMilli()))
	rand.Read(sig[12:20]) // never returns an error: it crashes the program instead
	return appendMAC(sig, s.secrets[0], place, sig, parts), nil
}

// verify checks a signature of a message that arrived at a time. It returns an ID of the
// message, which no other one has.
func (s *signer) verify(place string, sig []byte, arrived time.Time, parts ...[]byte) (id uint64, err error) {
	if !slices.ContainsFunc(s.secrets, func(secret []byte) bool {
		return hmac.Equal(sig[20:], appendMAC(nil, secret, place, sig[:20], parts))
	}) {
		return 0, errForged
	}
	age := arrived.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(sig[4:]))))
	if age > maxAge || age < -maxAge {
		return 0, errReplayed
	}
	return binary.BigEndian.Uint64(sig[20:]), nil
}

// appendMAC appends the HMAC of a message. The lengths of all parts come first, so that bytes
// cannot be moved from one part to the next.
func appendMAC(dst, secret []byte, place string, header []byte, parts [][]byte) []byte {
	b := make([]byte, 0, 256)
	b = append(b, "fiberbridge redisadapter"...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(place)))
	b = append(append(b, place...), header...) // all headers have the same length
	b = binary.BigEndian.AppendUint64(b, uint64(len(parts)))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(b)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(dst)
}

// signEntry returns the field with the signature of a stream's entry.
func (s *signer) signEntry(key string, e *streamEntry) (string, error) {
	sig, err := s.sign(streamPlace(key), e.signedParts()...)
	return base64.StdEncoding.EncodeToString(sig), err
}

// openEntry verifies an entry of a stream, and that it is no copy of an earlier one. added is
// the time in the entry's ID, which Redis has set: a node may read an entry much later. The
// errors are those of open.
func (s *signer) openEntry(key string, e *streamEntry, added time.Time) error {
	id, err := s.verifyEntry(key, e, added)
	if err != nil || id == 0 {
		return err
	}
	now, ok := s.clock()
	if !ok || !s.seen.add(id, now) {
		return errReplayed
	}
	return nil
}

// verifyEntry verifies an entry of a stream. It returns the entry's ID for a replayMemory, or
// 0 if the entry needs no signature.
func (s *signer) verifyEntry(key string, e *streamEntry, added time.Time) (id uint64, err error) {
	if e.signature == "" {
		return 0, s.refuseUnsigned()
	}
	if !s.isOn() {
		return 0, nil
	}
	raw, err := base64.StdEncoding.DecodeString(e.signature)
	if err != nil {
		return 0, errForged
	}
	sig, rest := cutSignature(raw)
	if sig == nil || len(rest) > 0 {
		return 0, errForged
	}
	return s.verify(streamPlace(key), sig, added, e.signedParts()...)
}

// sealState and openState are seal and open for the state of a disconnected socket. It is
// read once, and Redis removes it when it has expired, so its age does not matter.
func (s *signer) sealState(key, value string) (string, error) {
	data, err := s.seal(statePlace(key), []byte(value))
	return string(data), err
}

func (s *signer) openState(key, value string) (string, error) {
	sig, message := cutSignature([]byte(value))
	switch {
	case sig == nil:
		return value, s.refuseUnsigned()
	case !s.isOn():
		return string(message), nil
	}
	_, err := s.verify(statePlace(key), sig, time.UnixMilli(int64(binary.BigEndian.Uint64(sig[4:]))), message)
	return string(message), err
}
