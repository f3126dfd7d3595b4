package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPasswords(t *testing.T) {
	t.Parallel()
	p, err := NewPasswords(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := p.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Hash(t.Context(), password)
	if err != nil || hash == again {
		t.Errorf("two hashes of a password are equal, so there is no salt (%v)", err)
	}
	head, key := hash[:strings.LastIndex(hash, "$")+1], hash[strings.LastIndex(hash, "$")+1:]
	for _, c := range []struct {
		name, password, hash string
		want                 error
	}{
		{"right", password, hash, nil},
		{"wrong", password + " ", hash, ErrCredentials},
		{"empty", "", hash, ErrCredentials},
		{"unknown user", password, "", ErrCredentials},
		{"another key", password, head + strings.Repeat("A", len(key)), ErrCredentials},
		{"no key", password, head, errHash},
		{"a key of one byte", password, head + "AA", errHash},
		{"another scheme", password, strings.Replace(hash, "argon2id", "argon2i", 1), errHash},
		{"another version", password, strings.Replace(hash, "v=19", "v=16", 1), errHash},
		{"too much memory", password, strings.Replace(hash, "m=19456", "m=2147483648", 1), errHash},
		{"too many passes", password, strings.Replace(hash, "t=2", "t=4294967295", 1), errHash},
		{"no lanes", password, strings.Replace(hash, "p=1", "p=0", 1), errHash},
		{"text", password, "correct horse", errHash},
	} {
		if err := p.Verify(t.Context(), c.password, c.hash); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if err := p.Verify(t.Context(), "whatever", p.dummy); !errors.Is(err, ErrCredentials) {
		t.Errorf("the dummy hash: %v", err)
	}
}

// When all slots are taken, a call waits and then returns ErrBusy.
func TestPasswordsAreHashedAFewAtATime(t *testing.T) {
	t.Parallel()
	p, err := NewPasswords(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p.slots = make(chan struct{}, 1) // created inside the synctest bubble
		p.slots <- struct{}{}
		if _, err := p.Hash(context.Background(), password); !errors.Is(err, ErrBusy) {
			t.Errorf("with all slots taken: %v, want ErrBusy", err)
		}
		done := make(chan error)
		go func() { // received below
			_, err := p.Hash(context.Background(), password)
			done <- err
		}()
		synctest.Wait()
		<-p.slots
		if err := <-done; err != nil {
			t.Errorf("after a slot came free: %v", err)
		}
	})
}
