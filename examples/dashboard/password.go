package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

// Passwords hashes passwords with argon2id and a random salt each. A hash is expensive by
// design: 19 MiB and some tens of milliseconds. Passwords therefore limits how many run at
// once, since a handful of clients could exhaust the memory otherwise. It is safe for
// concurrent use.
type Passwords struct {
	slots chan struct{}
	wait  time.Duration
	dummy string // the hash of an unknown password, verified if the user does not exist
}

// The cost of new hashes: OWASP's minimum. Even the second recommendation of RFC 9106
// (64 MiB) is for servers with more memory.
const (
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	saltSize    = 16
	keySize     = 32
)

// errHash is returned for a stored hash that Hash did not write.
var errHash = errors.New("dashboard: malformed password hash")

// NewPasswords allows as many concurrent hashes as there are processors. Other calls wait
// for a free slot for at most wait.
func NewPasswords(wait time.Duration) (*Passwords, error) {
	p := &Passwords{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), wait: wait}
	var err error
	p.dummy, err = p.Hash(context.Background(), rand.Text())
	return p, err
}

// Hash returns the hash of a password in the PHC string format, to be stored. It returns
// ErrBusy if no slot came free in time.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	key, err := p.key(ctx, password, salt, argonTime, argonMemory, argonLanes, keySize)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		argonMemory, argonTime, argonLanes, b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// Verify returns nil if hash is the hash of password, and ErrCredentials otherwise. Pass an
// empty hash for a user that does not exist: it takes as long as any other, so that response
// times do not reveal which names exist. It returns ErrBusy if no slot came free in time.
func (p *Passwords) Verify(ctx context.Context, password, hash string) error {
	if hash == "" {
		hash = p.dummy
	}
	var version, memory, passes, lanes int
	var rest string
	_, err := fmt.Sscanf(hash, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &memory, &passes, &lanes, &rest)
	saltText, keyText, ok := strings.Cut(rest, "$")
	salt, err1 := base64.RawStdEncoding.DecodeString(saltText)
	want, err2 := base64.RawStdEncoding.DecodeString(keyText)
	// The bounds protect against a tampered database: a forged hash must not use up memory.
	if err != nil || err1 != nil || err2 != nil || !ok || version != argon2.Version || len(want) < 16 || len(want) > 64 ||
		memory < 8 || memory > 256*1024 || passes < 1 || passes > 16 || lanes < 1 || lanes > 16 {
		return errHash
	}
	got, err := p.key(ctx, password, salt, uint32(passes), uint32(memory), uint8(lanes), uint32(len(want)))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return ErrCredentials
	}
	return nil
}

func (p *Passwords) key(ctx context.Context, password string, salt []byte, passes, memory uint32, lanes uint8, size uint32) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ErrBusy
	}
	defer func() { <-p.slots }()
	return argon2.IDKey([]byte(password), salt, passes, memory, lanes, size), nil
}
