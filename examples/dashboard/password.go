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

// Passwords hashes passwords with argon2id, each with a salt of its own. A hash takes
// 19 MiB and some tens of milliseconds by design; so only a few run at a time, or a
// handful of clients could take all memory. It is safe for concurrent use.
type Passwords struct {
	slots chan struct{}
	wait  time.Duration
	dummy string // of a password that nobody knows: verified where there is no user
}

// What new hashes cost: the second choice of RFC 9106 is for servers with more
// memory to spare; this is OWASP's minimum.
const (
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	saltSize    = 16
	keySize     = 32
)

// errHash says that a stored hash is none of ours.
var errHash = errors.New("dashboard: malformed password hash")

// NewPasswords lets as many hashes run at once as there are processors, and others
// wait for at most wait.
func NewPasswords(wait time.Duration) (*Passwords, error) {
	p := &Passwords{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), wait: wait}
	var err error
	p.dummy, err = p.Hash(context.Background(), rand.Text())
	return p, err
}

// Hash returns the form in which a password is stored, in PHC's notation. It is
// ErrBusy when no slot came free in time.
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

// Verify returns nil if hash is that of password, and ErrCredentials if not. An
// empty hash, of a user that does not exist, takes as long as any other: who asks
// cannot tell by the time which names are there.
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
	// The bounds are for a database that somebody else could write to.
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
