package fibersession_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// A5: the first secret signs and all secrets verify. A cookie that an older secret signed
// is replaced when it is used.
func TestA5_SecretsRotate(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	store := func(secrets ...[]byte) *fibersession.Store {
		return newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Secrets: secrets}, Storage: st})
	}
	first := store(secret(1))
	b := newBrowser(t, userApp(first))
	b.get("/in")
	before := b.cookies["__Host-session"]
	id, _, _ := strings.Cut(before, ".")
	if len(before) != 43+1+43 {
		t.Fatalf("got the cookie %q, want an ID and a signature of 43 characters each", before)
	}
	if res := b.get("/"); res.body != "ada" || len(res.set) != 0 {
		t.Errorf("got user %q and the cookies %v, want \"ada\" and none: the first secret signed it", res.body, res.set)
	}

	b.app = userApp(store(secret(2), secret(1)))
	if res := b.get("/"); res.body != "ada" || len(res.set) != 1 || res.set[0].MaxAge != 604800 || !res.set[0].HttpOnly {
		t.Errorf("signed by the second secret: got user %q and the cookies %v, want \"ada\" and a replacement", res.body, res.set)
	}
	after := b.cookies["__Host-session"]
	if after == before || !strings.HasPrefix(after, id+".") {
		t.Errorf("got the replacement %q for %q, want the same ID with another signature", after, before)
	}
	if res := b.get("/"); len(res.set) != 0 {
		t.Error("the replacement was replaced again")
	}

	b.app = userApp(store(secret(2)))
	if got := b.get("/").body; got != "ada" {
		t.Errorf("without the old secret: got user %q, want \"ada\"", got)
	}
	late := newBrowser(t, b.app)
	late.cookies["__Host-session"] = before
	if got := late.get("/").body; got != "" {
		t.Errorf("a cookie signed by a removed secret: got user %q, want none", got)
	}
}

// A cookie without a valid signature is no session: not the bare ID, not the cookie of
// another name, and no value that differs in one bit.
func TestA5_ForgedIsNone(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret(1), secret(2)}}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	app := userApp(s)
	b := newBrowser(t, app)
	b.get("/in")
	good := b.cookies["__Host-session"]
	id, sig, _ := strings.Cut(good, ".")

	other := newStore(t, fibersession.Config{KeyLookup: "cookie:other", Cookie: fibersession.Cookie{Secrets: [][]byte{secret(1)}}, KeyGenerator: func() string { return id }})
	renamed := newBrowser(t, userApp(other))
	renamed.get("/in")

	forged := map[string]string{
		"unsigned":                   id,
		"no signature":               id + ".",
		"no ID":                      "." + sig,
		"signature twice":            good + "." + sig,
		"the cookie of another name": renamed.cookies["other"],
		"with padding":               good + "=",
		"with the mark of Express":   "s:" + good,
		"longer than any ID":         strings.Repeat("A", 3000) + "." + sig,
		"a made-up ID":               strings.Repeat("A", 43) + "." + sig,
		"another dot in the ID":      id[:20] + "." + id[20:] + "." + sig,
	}
	// Flip each bit, where the result is a valid character of a cookie. The last character
	// of the signature has two unused bits; they must be zero.
	for i := range good {
		for bit := range 7 {
			if c := good[i] ^ 1<<bit; c > ' ' && c < 0x7f && !strings.ContainsRune(`",;\`, rune(c)) {
				forged[good[:i]+string(c)+good[i+1:]] = good[:i] + string(c) + good[i+1:]
			}
		}
	}
	for name, value := range forged {
		b := newBrowser(t, app)
		b.cookies["__Host-session"] = value
		if got := b.get("/").body; got != "" {
			t.Errorf("%s: got user %q, want none", name, got)
		}
	}
	if got := s.Stats().Forged; got != uint64(len(forged)) {
		t.Errorf("got Forged %d, want %d", got, len(forged))
	}
	if text := log.String(); strings.Count(text, "wrong signature") != 1 || strings.Contains(text, id) || strings.Contains(text, sig) {
		t.Errorf("want one log line about a wrong signature, without the ID and the signature; got\n%s", text)
	}
	if got := b.get("/").body; got != "ada" {
		t.Errorf("the valid cookie: got user %q, want \"ada\"", got)
	}
}

// A rotation logs out no one: the nodes get the new secrets one after the other, in the
// documented order, while browsers switch between nodes.
func TestA5_RotationUnderLoad(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	store := func(secrets ...[]byte) *fibersession.Store {
		return newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Secrets: secrets}, Storage: st})
	}
	phases := [][][]byte{
		{secret(1)}, {secret(1), secret(2)}, {secret(2), secret(1)}, {secret(2)},
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			b := newBrowser(t, userApp(store(phases[0]...)))
			b.get("/in")
			for i := range phases[1:] {
				old, next := store(phases[i]...), store(phases[i+1]...)
				for _, s := range []*fibersession.Store{old, next, old, next} {
					b.app = userApp(s)
					if res := b.get("/"); res.body != "ada" {
						t.Errorf("phase %d: the browser was logged out", i)
					}
				}
			}
		})
	}
	wg.Wait()
}

func FuzzSignedCookie(f *testing.F) {
	s := fibersession.New(fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret(1)}}, Logger: discardLogger})
	f.Cleanup(func() { _ = s.Close() })
	good := s.CookieValue("session", strings.Repeat("a", 43))
	f.Add(good)
	f.Add("")
	f.Add(".")
	f.Add(strings.Repeat(".", 200))
	f.Add("s:" + good)
	f.Fuzz(func(t *testing.T, value string) {
		id, ok := s.CookieID("session", value)
		if ok && s.CookieValue("session", id) != value {
			t.Errorf("%q was accepted as the ID %q, whose signature is another", value, id)
		}
	})
}
