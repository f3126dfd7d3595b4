package socketbridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestM4_Offsets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		raw  string
		want offset
		bad  bool
	}{
		{raw: `"abc-0"`, want: offset{sequence: "abc-", number: 0}},
		{raw: `"a-b-17"`, want: offset{sequence: "a-b-", number: 17}},
		{raw: `"x:999999999999999"`, want: offset{sequence: "x:", number: 999999999999999}},
		{raw: `"x:1000000000000000"`, want: offset{sequence: "x:1000000000000000\x00"}},
		{raw: `"abc-07"`, want: offset{sequence: "abc-07\x00"}},
		{raw: `"abc7"`, want: offset{sequence: "abc7\x00"}},
		{raw: `"ä7"`, want: offset{sequence: "ä7\x00"}},
		{raw: `"7"`, want: offset{sequence: "7\x00"}},
		{raw: `"-7"`, want: offset{sequence: "-7\x00"}},
		{raw: `"abc"`, want: offset{sequence: "abc\x00"}},
		{raw: `"` + strings.Repeat("a", 128) + `"`, want: offset{sequence: strings.Repeat("a", 128) + "\x00"}},
		{raw: `17`, want: offset{number: 17, isNumber: true}},
		{raw: `0`, want: offset{number: 0, isNumber: true}},
		{raw: `"` + strings.Repeat("a", 129) + `"`, bad: true},
		{raw: `""`, bad: true},
		{raw: ``, bad: true},
		{raw: `null`, bad: true},
		{raw: `true`, bad: true},
		{raw: `-1`, bad: true},
		{raw: `1.5`, bad: true},
		{raw: `1e3`, bad: true},
		{raw: `1000000000000000`, bad: true},
		{raw: `{"a":1}`, bad: true},
		{raw: `["abc-1"]`, bad: true},
	} {
		got, ok := parseOffset(json.RawMessage(tt.raw))
		if ok == tt.bad || ok && got != tt.want {
			t.Errorf("%s: got %+v and %v, want %+v", tt.raw, got, ok, tt.want)
		}
	}
}

// ledgerTest applies claims to a ledger, which is encoded and decoded after each.
type ledgerTest struct {
	t   *testing.T
	l   *ledger
	now time.Time
	n   byte // of claims
}

func newLedgerTest(t *testing.T) *ledgerTest {
	return &ledgerTest{t: t, l: new(ledger), now: time.Now()}
}

func hashOf(name string) (h eventHash) { copy(h[:], name); return h }

// claim claims the event of a sequence and returns the verdict, the kept answer and the
// token.
func (lt *ledgerTest) claim(sequence string, number uint64) (claimVerdict, string, claimToken) {
	lt.t.Helper()
	lt.n++
	e := ledgerEvent{sequence: hashOf(sequence), number: number, content: hashOf("content"), token: claimToken{lt.n}}
	before := lt.l.encode()
	v, a, changed := lt.l.claim(e, lt.now, claimLease, unknownOutcome)
	if !changed && !bytes.Equal(before, lt.l.encode()) {
		lt.t.Errorf("the claim of %s%d changed the ledger and did not report it", sequence, number)
	}
	lt.store()
	return v, string(a.payload), e.token
}

func (lt *ledgerTest) expect(sequence string, number uint64, want claimVerdict) claimToken {
	lt.t.Helper()
	v, _, token := lt.claim(sequence, number)
	if v != want {
		lt.t.Errorf("%s%d: got verdict %d, want %d", sequence, number, v, want)
	}
	return token
}

func (lt *ledgerTest) handle(sequence string, number uint64, answer string) {
	lt.t.Helper()
	token := lt.expect(sequence, number, claimRun)
	if !lt.l.finish(token, eventAnswered, ledgerAnswer{payload: []byte(answer)}) {
		lt.t.Errorf("%s%d was not recorded", sequence, number)
	}
	lt.store()
}

func (lt *ledgerTest) store() {
	lt.t.Helper()
	b := lt.l.encode()
	l, err := decodeLedger(b)
	if err != nil {
		lt.t.Fatal(err)
	}
	if again := l.encode(); !bytes.Equal(again, b) {
		lt.t.Fatalf("decoded and encoded again, %d bytes became %d", len(b), len(again))
	}
	lt.l = l
}

func TestM4_LedgerKnowsEachNumberOnce(t *testing.T) {
	t.Parallel()
	lt := newLedgerTest(t)
	for _, n := range []uint64{100, 101, 105, 107, 108, 109, 110, 103, 104, 102, 50} { // 50 was not sent before, and is in the window
		lt.handle("a-", n, fmt.Sprint(n))
	}
	for _, n := range []uint64{107, 108, 109, 110, 103, 104, 102, 50} { // the last eight
		if v, got, _ := lt.claim("a-", n); v != claimAnswer || got != fmt.Sprint(n) {
			t.Errorf("a-%d: got verdict %d and answer %s, want its own", n, v, got)
		}
	}
	for _, n := range []uint64{100, 101, 105, 46, 45, 0} { // answers not kept, or below the window of 64
		lt.expect("a-", n, claimExpired)
	}
	lt.handle("a-", 47, "47") // the last in the window
	lt.handle("a-", 1000, "far ahead")
	lt.expect("a-", 105, claimExpired)
	lt.handle("a-", 937, "") // 1000-63
	lt.expect("a-", 936, claimExpired)
	lt.handle("b-", 100, "other sequence")
}

func TestM4_LedgerLimits(t *testing.T) {
	t.Parallel()
	t.Run("sequences", func(t *testing.T) {
		t.Parallel()
		lt := newLedgerTest(t)
		running := lt.expect("running", 1, claimRun)
		for i := range maxSequences {
			lt.handle(fmt.Sprint(i, "-"), 7, "x")
		}
		lt.expect("running", 1, claimWait) // although it is the oldest
		if n := len(lt.l.sequences); n != maxSequences {
			t.Errorf("got %d sequences, want %d", n, maxSequences)
		}
		lt.expect("1-", 7, claimExpired) // known, its answer is not kept
		lt.expect("0-", 7, claimRun)     // the oldest that was not running is forgotten
		lt.l.finish(running, eventAnswered, ledgerAnswer{payload: []byte("late")})
		if v, got, _ := lt.claim("running", 1); v != claimAnswer || got != "late" {
			t.Errorf("got verdict %d and answer %q, want the answer of the long event", v, got)
		}
	})
	t.Run("events", func(t *testing.T) {
		t.Parallel()
		lt := newLedgerTest(t)
		lt.handle("oldest-", 1, "the only one")
		for i := range 40 {
			lt.handle(fmt.Sprint(i, "-"), 1, "first")
		}
		for i := range 40 {
			lt.handle(fmt.Sprint(i, "-"), 2, "second")
		}
		if n := len(lt.l.events); n != maxLedgerEvents {
			t.Errorf("got %d events, want %d", n, maxLedgerEvents)
		}
		if v, got, _ := lt.claim("oldest-", 1); v != claimAnswer || got != "the only one" {
			t.Errorf("oldest-1: got verdict %d and answer %q, want the kept one", v, got)
		}
		for i := range 40 { // the newest of each sequence outlives older ones
			if v, got, _ := lt.claim(fmt.Sprint(i, "-"), 2); v != claimAnswer || got != "second" {
				t.Errorf("%d-2: got verdict %d and answer %q, want the kept one", i, v, got)
			}
		}
	})
	t.Run("running events", func(t *testing.T) {
		t.Parallel()
		lt := newLedgerTest(t)
		for i := range maxLedgerEvents {
			lt.expect(fmt.Sprint(i, "-"), 1, claimRun)
		}
		lt.expect("one more", 1, claimFull)
		lt.expect("0-", 1, claimWait)
	})
	t.Run("bytes", func(t *testing.T) {
		t.Parallel()
		lt := newLedgerTest(t)
		lt.handle("big", 1, strings.Repeat("x", maxLedgerAnswer))
		lt.handle("bigger", 1, strings.Repeat("x", maxLedgerAnswer+1))
		lt.expect("bigger", 1, claimExpired)
		lt.expect("big", 1, claimAnswer)
		lt.handle("second", 1, strings.Repeat("x", maxLedgerAnswer))
		lt.expect("big", 1, claimAnswer)
		lt.handle("third", 1, "x")
		lt.expect("big", 1, claimExpired)
		lt.expect("second", 1, claimAnswer)
		if n := len(lt.l.encode()); n > maxLedgerAnswers+(maxLedgerEvents+1)*(eventLength+5)+maxSequences*sequenceLength+6 {
			t.Errorf("the ledger has %d bytes", n)
		}
	})
}

func TestM4_LedgerClaims(t *testing.T) {
	t.Parallel()
	t.Run("lease", func(t *testing.T) {
		t.Parallel()
		lt := newLedgerTest(t)
		token := lt.expect("a-", 1, claimRun)
		lt.now = lt.now.Add(claimLease - time.Second)
		lt.expect("a-", 1, claimWait)
		if !lt.l.renew(token, lt.now) {
			t.Error("the lease was not renewed")
		}
		lt.now = lt.now.Add(claimLease - time.Second)
		lt.expect("a-", 1, claimWait)
		lt.now = lt.now.Add(time.Second)
		for range 2 {
			if v, got, _ := lt.claim("a-", 1); v != claimAnswer || !strings.Contains(got, `"unknown_outcome"`) {
				t.Errorf("got verdict %d and answer %s, want unknown_outcome", v, got)
			}
		}
		if lt.l.renew(token, lt.now) || lt.l.finish(token, eventAnswered, ledgerAnswer{}) || lt.l.forget(token) {
			t.Error("a claim that was given up changed the ledger")
		}
	})
	t.Run("own claim is found again", func(t *testing.T) {
		t.Parallel()
		lt := newLedgerTest(t)
		lt.expect("a-", 1, claimRun)
		lt.n--
		lt.expect("a-", 1, claimRun)
	})
	t.Run("forget", func(t *testing.T) {
		t.Parallel()
		lt := newLedgerTest(t)
		token := lt.expect("a-", 1, claimRun)
		lt.handle("a-", 2, "")
		if !lt.l.forget(token) {
			t.Error("the event was not forgotten")
		}
		lt.handle("a-", 1, "second attempt")
		lt.expect("a-", 1, claimAnswer)
	})
	t.Run("no answer, then a late one", func(t *testing.T) {
		t.Parallel()
		lt := newLedgerTest(t)
		token := lt.expect("a-", 1, claimRun)
		lt.l.finish(token, eventUnanswered, ledgerAnswer{})
		lt.expect("a-", 1, claimSilent)
		lt.l.finish(token, eventAnswered, ledgerAnswer{payload: []byte("late"), binary: [][]byte{{1}, {}, {2, 3}}})
		lt.store()
		if _, a, _ := lt.l.claim(ledgerEvent{sequence: hashOf("a-"), number: 1, content: hashOf("content")}, lt.now, claimLease, unknownOutcome); !reflect.DeepEqual(a, ledgerAnswer{[]byte("late"), [][]byte{{1}, {}, {2, 3}}}) {
			t.Errorf("got answer %v", a)
		}
		lt.l.finish(token, eventUnanswered, ledgerAnswer{})
		lt.expect("a-", 1, claimAnswer) // an answer stands
	})
	t.Run("other content", func(t *testing.T) {
		t.Parallel()
		lt := newLedgerTest(t)
		lt.handle("a-", 1, "")
		if v, _, _ := lt.l.claim(ledgerEvent{sequence: hashOf("a-"), number: 1, content: hashOf("other")}, lt.now, claimLease, unknownOutcome); v != claimReused {
			t.Errorf("got verdict %d, want %d", v, claimReused)
		}
	})
}

// FuzzLedger decodes any bytes without a panic, and what it decodes has one form.
func FuzzLedger(f *testing.F) {
	l := new(ledger)
	for i, state := range []eventState{eventRunning, eventAnswered, eventUnanswered, eventTooLarge} {
		l.claim(ledgerEvent{sequence: hashOf("a-"), number: uint64(i), token: claimToken{byte(i)}}, time.Unix(0, 0), claimLease, unknownOutcome)
		l.finish(claimToken{byte(i)}, state, ledgerAnswer{payload: []byte("[1]"), binary: [][]byte{{1}}})
	}
	f.Add(l.encode())
	f.Add(new(ledger).encode())
	f.Add([]byte("fbr\x01\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeLedger(b)
		if err != nil {
			return
		}
		if again := l.encode(); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

func TestM4_MemoryLedgers(t *testing.T) {
	t.Parallel()
	m := new(memoryLedgers)
	value := make([]byte, 1<<20)
	for i := range 40 {
		if _, err := m.CompareAndSwap(t.Context(), fmt.Sprint(i), "", value, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if m.size > maxMemoryLedgers || m.order.Len() != len(m.byKey) {
		t.Errorf("got %d bytes in %d and %d entries, want at most %d", m.size, m.order.Len(), len(m.byKey), maxMemoryLedgers)
	}
	if _, err := m.Load(t.Context(), "0"); err == nil {
		t.Error("the oldest is still there")
	}
	item, err := m.Load(t.Context(), "39")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.CompareAndSwap(t.Context(), "39", "", []byte("x"), time.Hour); err == nil {
		t.Error("a write with a wrong revision succeeded")
	}
	if _, err := m.CompareAndSwap(t.Context(), "39", item.Revision, []byte("x"), -time.Second); err != nil {
		t.Error(err)
	}
	if _, err := m.Load(t.Context(), "39"); err == nil {
		t.Error("an expired ledger was returned")
	}
	for key := range m.byKey {
		m.remove(m.byKey[key])
	}
	if m.size != 0 {
		t.Errorf("%d bytes are left over", m.size)
	}
}
