package redisadapter

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func secretOf(b byte) []byte { return bytes.Repeat([]byte{b}, minSecret) }

// signTime is the time at Redis in the tests of signers.
var signTime = time.UnixMilli(1_800_000_000_000)

// testSigner returns a signer and its clock.
func testSigner(cfg Config) (*signer, *time.Time) {
	now := signTime
	return newSigner(&cfg, func() (time.Time, bool) { return now, true }), &now
}

func sealed(t testing.TB, s *signer, place, data string) []byte {
	t.Helper()
	out, err := s.seal(place, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Row 44: each bit of a signed message counts, and a cut or longer message is refused.
func TestSign_EveryBitCounts(t *testing.T) {
	t.Parallel()
	s, _ := testSigner(Config{Secrets: [][]byte{secretOf(1)}})
	data := sealed(t, s, channelPlace("c"), `{"type":2}`)
	refusedBy := func(what string, data []byte) {
		t.Helper()
		if m, _, err := s.open(channelPlace("c"), data); !errors.Is(err, errForged) && !errors.Is(err, errUnsigned) {
			t.Errorf("%s: accepted as %q (%v)", what, m, err)
		}
	}
	for i := range data {
		for bit := range 8 {
			flipped := slices.Clone(data)
			flipped[i] ^= 1 << bit
			refusedBy(fmt.Sprintf("bit %d of byte %d flipped", bit, i), flipped)
		}
		refusedBy(fmt.Sprintf("cut to %d bytes", i), data[:i])
	}
	refusedBy("a byte added", append(slices.Clone(data), 0))
	if m, signed, err := s.open(channelPlace("c"), data); string(m) != `{"type":2}` || !signed || err != nil {
		t.Errorf("the message itself: got %q, %v, %v", m, signed, err)
	}
}

// Row 44: a signature is valid in its own place only.
func TestSign_MessageCannotBeMoved(t *testing.T) {
	t.Parallel()
	s, _ := testSigner(Config{Secrets: [][]byte{secretOf(1)}})
	entry := streamEntry{uid: "n", namespace: "/", kind: clusterBroadcast, data: []byte(`{"a":1}`)}
	text, err := s.signEntry("app", &entry)
	if err != nil {
		t.Fatal(err)
	}
	entry.signature = text
	raw, _ := base64.StdEncoding.DecodeString(text)

	for name, change := range map[string]func(e *streamEntry){
		"another sender":                 func(e *streamEntry) { e.uid = "m" },
		"another namespace":              func(e *streamEntry) { e.namespace = "/admin" },
		"another type":                   func(e *streamEntry) { e.kind = clusterDisconnect },
		"other data":                     func(e *streamEntry) { e.data = []byte(`{"a":2}`) },
		"delivered to its sender":        func(e *streamEntry) { e.loopback = true },
		"a heartbeat of another kind":    func(e *streamEntry) { e.both = true },
		"a byte moved to the next field": func(e *streamEntry) { e.uid, e.namespace = "n/", "" },
		"a signature that is no base64":  func(e *streamEntry) { e.signature = "!" },
		"an empty signature":             func(e *streamEntry) { e.signature = "" },
		"a signature that is too long":   func(e *streamEntry) { e.signature = base64.StdEncoding.EncodeToString(append(slices.Clone(raw), 0)) },
		"a signature of a channel's kind": func(e *streamEntry) {
			e.signature = base64.StdEncoding.EncodeToString(sealed(t, s, channelPlace("app"), ""))
		},
	} {
		e := entry
		change(&e)
		if _, err := s.verifyEntry("app", &e, signTime); err == nil {
			t.Errorf("%s: the entry is accepted", name)
		}
	}
	if _, err := s.verifyEntry("other", &entry, signTime); !errors.Is(err, errForged) {
		t.Errorf("another stream: got %v, want errForged", err)
	}
	if err := s.openEntry("app", &entry, signTime); err != nil {
		t.Errorf("the entry itself is refused: %v", err)
	}
	if err := s.openEntry("app", &entry, signTime); !errors.Is(err, errReplayed) {
		t.Errorf("a copy of the entry: got %v, want errReplayed", err)
	}

	data := sealed(t, s, channelPlace("app#/#room#"), "x")
	for _, place := range []string{channelPlace("app#/#vip#"), channelPlace("app#/#"), channelPlace("app2#/#room#"), streamPlace("app#/#room#"), statePlace("app#/#room#")} {
		if _, _, err := s.open(place, data); !errors.Is(err, errForged) {
			t.Errorf("moved to the %s: got %v, want errForged", place, err)
		}
	}
	state, err := s.sealState("app:recovery:p", "v")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.openState("app:recovery:q", state); !errors.Is(err, errForged) {
		t.Errorf("a state under another key: got %v, want errForged", err)
	}
	if v, err := s.openState("app:recovery:p", state); v != "v" || err != nil {
		t.Errorf("the state itself: got %q, %v", v, err)
	}
	if _, err := s.openState("app:recovery:p", "v"); !errors.Is(err, errUnsigned) {
		t.Errorf("a state without a signature: got %v, want errUnsigned", err)
	}
}

// Row 44: a copy is refused for as long as its time is near enough, and for its time later.
func TestSign_CopiesAreRefused(t *testing.T) {
	t.Parallel()
	s, now := testSigner(Config{Secrets: [][]byte{secretOf(1)}})
	open := func(data []byte) error { _, _, err := s.open(channelPlace("c"), data); return err }
	first, equal := sealed(t, s, channelPlace("c"), "x"), sealed(t, s, channelPlace("c"), "x")
	if err := errors.Join(open(first), open(equal)); err != nil {
		t.Fatalf("two equal messages of the same millisecond: %v", err)
	}
	for *now = signTime; now.Before(signTime.Add(5 * time.Minute)); *now = now.Add(time.Second) {
		if open(first) == nil {
			t.Fatalf("a copy is accepted after %v", now.Sub(signTime))
		}
		if err := open(sealed(t, s, channelPlace("c"), "other")); err != nil {
			t.Fatalf("after %v a new message is refused: %v", now.Sub(signTime), err)
		}
		if n := len(s.seen.current) + len(s.seen.previous); n > 130 {
			t.Fatalf("after %v, %d messages are remembered: one per second, for 60 s to 120 s, is at most 122", now.Sub(signTime), n)
		}
	}
	// The limits of the time are exact, in both directions.
	data := sealed(t, s, channelPlace("c"), "later")
	sent := *now
	for _, tt := range []struct {
		age time.Duration
		ok  bool
	}{{-maxAge - time.Millisecond, false}, {maxAge + time.Millisecond, false}, {maxAge, true}} {
		*now = sent.Add(tt.age)
		if err := open(data); (err == nil) != tt.ok {
			t.Errorf("a message that is %v old: got %v, want accepted %t", tt.age, err, tt.ok)
		}
	}
	*now = sent.Add(-maxAge)
	if err := open(data); err == nil {
		t.Error("a copy is accepted after the clock went back")
	}
	s.seen = replayMemory{}
	if err := open(data); err != nil {
		t.Errorf("a message from %v in the future is refused: %v", maxAge, err)
	}
}

// The memory for copies is bounded, also if messages arrive faster than it is made for.
func TestSign_MemoryIsBounded(t *testing.T) {
	t.Parallel()
	r := replayMemory{current: make(map[uint64]struct{}), began: signTime}
	for id := range uint64(maxRemembered) {
		r.current[id] = struct{}{}
	}
	if !r.add(maxRemembered, signTime) || len(r.current) != 1 || len(r.previous) != maxRemembered {
		t.Errorf("got sets of %d and %d messages, want 1 and %d", len(r.current), len(r.previous), maxRemembered)
	}
	if r.add(0, signTime) {
		t.Error("a message of the set before is new")
	}
}

// Secrets can be introduced and replaced one node at a time.
func TestSign_Rotation(t *testing.T) {
	t.Parallel()
	old, next := secretOf(1), secretOf(2)
	for name, steps := range map[string][]Config{
		"begin":   {{}, {Secrets: [][]byte{old}, AcceptUnsigned: true}, {Secrets: [][]byte{old}}},
		"replace": {{Secrets: [][]byte{old}}, {Secrets: [][]byte{old, next}}, {Secrets: [][]byte{next, old}}, {Secrets: [][]byte{next}}},
		"end":     {{Secrets: [][]byte{old}}, {Secrets: [][]byte{old}, AcceptUnsigned: true}, {}},
	} {
		for i := range steps[1:] {
			a, _ := testSigner(steps[i])
			b, _ := testSigner(steps[i+1])
			for _, pair := range [][2]*signer{{a, b}, {b, a}} {
				if m, _, err := pair[1].open(channelPlace("c"), sealed(t, pair[0], channelPlace("c"), "x")); string(m) != "x" || err != nil {
					t.Errorf("%s, step %d: got %q, %v", name, i+1, m, err)
				}
				state, err := pair[0].sealState("k", "v")
				if err != nil {
					t.Fatal(err)
				}
				if v, err := pair[1].openState("k", state); v != "v" || err != nil {
					t.Errorf("%s, step %d: got the state %q, %v", name, i+1, v, err)
				}
			}
		}
	}
	a, _ := testSigner(Config{Secrets: [][]byte{old}})
	b, _ := testSigner(Config{Secrets: [][]byte{next}, AcceptUnsigned: true})
	if _, _, err := b.open(channelPlace("c"), sealed(t, a, channelPlace("c"), "x")); !errors.Is(err, errForged) {
		t.Errorf("AcceptUnsigned with a signature of another secret: got %v, want errForged", err)
	}
}

// The secrets are copied: the app can clear its own.
func TestSign_SecretsAreCopied(t *testing.T) {
	t.Parallel()
	secret := secretOf(1)
	s, _ := testSigner(Config{Secrets: [][]byte{secret}})
	data := sealed(t, s, channelPlace("c"), "x")
	clear(secret)
	if _, _, err := s.open(channelPlace("c"), data); err != nil {
		t.Error(err)
	}
}

// FuzzOpen passes arbitrary data to a signer with secrets. It accepts nothing that it has not
// signed itself.
func FuzzOpen(f *testing.F) {
	secret := []byte(rand.Text() + rand.Text()) // the processes that fuzz have different ones
	s, _ := testSigner(Config{Secrets: [][]byte{secret, secretOf(2)}})
	other, _ := testSigner(Config{Secrets: [][]byte{secretOf(3)}})
	mine := sealed(f, s, channelPlace("c"), `{"type":2}`)
	for _, seed := range [][]byte{
		nil, []byte("{}"), []byte(signMagic), mine, mine[:signSize], mine[:signSize-1],
		sealed(f, other, channelPlace("c"), `{"type":2}`), sealed(f, s, channelPlace("d"), ""),
		append([]byte("\x00fb\x02"), mine[4:]...), append(slices.Clone(mine[:signSize]), mine...),
	} {
		f.Add(seed)
	}
	none, _ := testSigner(Config{})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, signed, err := s.open(channelPlace("c"), data)
		if err == nil && !bytes.Equal(data, mine) {
			t.Errorf("accepted %q as %q, signed %t", data, m, signed)
		}
		if err := s.openEntry("c", &streamEntry{signature: string(data)}, signTime); err == nil {
			t.Errorf("accepted an entry with the signature %q", data)
		}
		if _, err := s.openState("c", string(data)); err == nil {
			t.Errorf("accepted the state %q", data)
		}
		if m, signed, err := none.open(channelPlace("c"), data); err != nil || signed && len(m) != len(data)-signSize || !signed && !bytes.Equal(m, data) {
			t.Errorf("without secrets: %q became %q, signed %t, %v", data, m, signed, err)
		}
	})
}

// The time of a signature is Redis's, whatever the clock of this node does.
func TestSign_TimeIsOfRedis(t *testing.T) {
	t.Parallel()
	c := &redisClock{}
	if _, ok := c.now(); ok {
		t.Error("the clock is known before it was read")
	}
	c.read, c.readAt = signTime, time.Now()
	now, ok := c.now()
	if !ok || now.Before(signTime) {
		t.Errorf("got %v, %t, want %v or a little later", now, ok, signTime)
	}
	s, _ := testSigner(Config{Secrets: [][]byte{secretOf(1)}})
	s.clock = c.now
	data := sealed(t, s, channelPlace("c"), "")
	if got := time.UnixMilli(int64(binary.BigEndian.Uint64(data[4:]))); got.Before(signTime) || got.Year() != signTime.Year() {
		t.Errorf("signed at %v, want the time at Redis, %v", got, signTime)
	}
	s.clock = (&redisClock{}).now
	if _, err := s.seal(channelPlace("c"), nil); !errors.Is(err, errNoClock) {
		t.Errorf("without a clock: got %v, want errNoClock", err)
	}
}

// BenchmarkSign measures what secrets cost, without Redis.
func BenchmarkSign(b *testing.B) {
	for _, size := range []int{200, 10_000} {
		data := bytes.Repeat([]byte("x"), size)
		b.Run(fmt.Sprintf("seal/%d", size), func(b *testing.B) {
			s, _ := testSigner(Config{Secrets: [][]byte{secretOf(1)}})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.seal(channelPlace("c"), data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("open/%d", size), func(b *testing.B) {
			s, _ := testSigner(Config{Secrets: [][]byte{secretOf(1)}})
			message := sealed(b, s, channelPlace("c"), string(data))
			b.ReportAllocs()
			for b.Loop() {
				s.seen = replayMemory{} // the same message again
				if _, _, err := s.open(channelPlace("c"), message); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("refuse/%d", size), func(b *testing.B) {
			s, _ := testSigner(Config{Secrets: [][]byte{secretOf(1)}})
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.open(channelPlace("c"), data); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
