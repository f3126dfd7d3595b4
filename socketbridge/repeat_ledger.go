package socketbridge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// ledger is the record of the idempotent events of one session, or of one socket without a
// session. It is stored as one value and changed by compare-and-swap, so that its size is
// bounded for each session.
type ledger struct {
	sequences []ledgerSequence // the one that was used last is the last
	events    []ledgerEvent    // oldest first
}

// eventHash is a hash: of a namespace and a sequence, or of an event with its arguments.
type eventHash [16]byte

// claimToken identifies one attempt to handle an event.
type claimToken [8]byte

// ledgerSequence says which numbers of a sequence were seen: a window over the last 64, as
// against replayed packets in IPsec (RFC 4303, 3.4.3).
type ledgerSequence struct {
	name eventHash
	high uint64 // the highest number
	seen uint64 // bit i: high-i was seen
}

// ledgerEvent is an event that is being handled, or that was.
type ledgerEvent struct {
	sequence eventHash
	number   uint64
	content  eventHash // of the event's name and arguments
	token    claimToken
	renewed  int64 // while running: Unix time in milliseconds
	state    eventState
	answer   ledgerAnswer // if answered
}

type eventState byte

const (
	eventRunning    eventState = iota + 1
	eventAnswered              // answer is what the client got
	eventUnanswered            // the handler gave no answer
	eventTooLarge              // its answer was larger than maxLedgerAnswer
)

// ledgerAnswer is the answer to an event: the payload of its acknowledgement and the
// attachments.
type ledgerAnswer struct {
	payload []byte
	binary  [][]byte
}

func (a *ledgerAnswer) size() int {
	n := len(a.payload)
	for _, b := range a.binary {
		n += len(b)
	}
	return n
}

// Limits of one ledger. Clients see them: see Idempotent.
const (
	maxSequences         = 128
	maxLedgerEvents      = 64
	maxEventsPerSequence = 8
	maxLedgerAnswer      = 16 << 10
	maxLedgerAnswers     = 32 << 10
	seenNumbers          = 64
)

// claimVerdict says what to do with an event.
type claimVerdict byte

const (
	claimRun     claimVerdict = iota + 1 // handle it
	claimWait                            // another attempt is handling it
	claimAnswer                          // give it the kept answer
	claimSilent                          // it was handled without an answer
	claimReused                          // its offset was another event's
	claimExpired                         // it was seen, and its answer is not kept
	claimFull                            // too many events of the session are being handled
)

// claim decides what to do with an event, which the token identifies. It reports whether
// the ledger has changed. unknown is the answer to an event whose node has failed.
func (l *ledger) claim(e ledgerEvent, now time.Time, lease time.Duration, unknown func() ledgerAnswer) (v claimVerdict, a ledgerAnswer, changed bool) {
	if old := l.find(e.sequence, e.number); old != nil {
		switch {
		case old.state == eventRunning && old.token == e.token:
			return claimRun, a, false // the claim was stored although the storage did not say so
		case old.content != e.content:
			return claimReused, a, false
		case old.state == eventRunning && now.UnixMilli()-old.renewed < lease.Milliseconds():
			return claimWait, a, false
		case old.state == eventRunning:
			old.state, old.answer = eventAnswered, unknown()
			a = old.answer
			l.trim()
			return claimAnswer, a, true
		case old.state == eventAnswered:
			return claimAnswer, old.answer, false
		case old.state == eventUnanswered:
			return claimSilent, a, false
		default:
			return claimExpired, a, false
		}
	}
	if l.running() >= maxLedgerEvents {
		return claimFull, a, false
	}
	if !l.see(e.sequence, e.number) {
		return claimExpired, a, false
	}
	e.state, e.renewed = eventRunning, now.UnixMilli()
	l.events = append(l.events, e)
	l.trimSequence(e.sequence)
	l.trim()
	return claimRun, a, true
}

// see marks a number as seen. It returns false if it was seen before, or is too old to
// know.
func (l *ledger) see(name eventHash, number uint64) bool {
	i := slices.IndexFunc(l.sequences, func(s ledgerSequence) bool { return s.name == name })
	s := ledgerSequence{name: name, high: number, seen: 1}
	if i >= 0 {
		s = l.sequences[i]
		if number > s.high {
			s.seen = s.seen<<min(number-s.high, seenNumbers) | 1
			s.high = number
		} else {
			bit := uint64(1) << min(s.high-number, seenNumbers) // 0 beyond the window
			if bit == 0 || s.seen&bit != 0 {
				return false
			}
			s.seen |= bit
		}
		l.sequences = slices.Delete(l.sequences, i, i+1)
	} else if len(l.sequences) >= maxSequences {
		// Never that of a running event: its repeats must be recognised.
		i = slices.IndexFunc(l.sequences, func(s ledgerSequence) bool { return !l.runs(s.name) })
		l.drop(l.sequences[i].name)
		l.sequences = slices.Delete(l.sequences, i, i+1)
	}
	l.sequences = append(l.sequences, s)
	return true
}

// drop removes the events of a sequence.
func (l *ledger) drop(name eventHash) {
	l.events = slices.DeleteFunc(l.events, func(e ledgerEvent) bool { return e.sequence == name })
}

// trim removes what exceeds the limits, oldest first. First go events that the client has
// certainly got the answer of, because it has sent later ones of the same sequence.
func (l *ledger) trim() {
	for size := l.answersSize(); len(l.events) > maxLedgerEvents || size > maxLedgerAnswers; {
		at := l.removable()
		if at < 0 {
			return // all are running: their number is limited
		}
		size -= l.events[at].answer.size()
		l.events = slices.Delete(l.events, at, at+1)
	}
}

// trimSequence removes all but the last maxEventsPerSequence events of a sequence.
func (l *ledger) trimSequence(name eventHash) {
	for i, n := len(l.events)-1, 0; i >= 0; i-- {
		if e := &l.events[i]; e.sequence != name {
			continue
		} else if n++; n > maxEventsPerSequence && e.state != eventRunning {
			l.events = slices.Delete(l.events, i, i+1)
		}
	}
}

// removable returns the event to remove next, or -1.
func (l *ledger) removable() int {
	oldest := -1
	for i := range l.events {
		if l.events[i].state == eventRunning {
			continue
		}
		if l.superseded(i) {
			return i
		}
		if oldest < 0 {
			oldest = i
		}
	}
	return oldest
}

// superseded reports whether there is an event of the same sequence after event i.
func (l *ledger) superseded(i int) bool {
	return slices.ContainsFunc(l.events[i+1:], func(e ledgerEvent) bool { return e.sequence == l.events[i].sequence })
}

func (l *ledger) answersSize() (n int) {
	for i := range l.events {
		n += l.events[i].answer.size()
	}
	return n
}

// finish records how the event of a claim ended. It reports whether the ledger has changed:
// the claim may have been given up by another node.
func (l *ledger) finish(t claimToken, state eventState, a ledgerAnswer) bool {
	e := l.claimed(t)
	if e == nil || e.state != eventRunning && e.state != eventUnanswered {
		return false
	}
	if a.size() > maxLedgerAnswer {
		state, a = eventTooLarge, ledgerAnswer{}
	}
	e.state, e.answer = state, a
	l.trim()
	return true
}

// forget removes the event of a claim, as if it had never been sent.
func (l *ledger) forget(t claimToken) bool {
	e := l.claimed(t)
	if e == nil || e.state != eventRunning {
		return false
	}
	for i := range l.sequences {
		if s := &l.sequences[i]; s.name == e.sequence && e.number <= s.high {
			s.seen &^= uint64(1) << min(s.high-e.number, seenNumbers)
		}
	}
	l.events = slices.DeleteFunc(l.events, func(e ledgerEvent) bool { return e.token == t })
	return true
}

// renew extends the lease of a claim.
func (l *ledger) renew(t claimToken, now time.Time) bool {
	e := l.claimed(t)
	if e == nil || e.state != eventRunning {
		return false
	}
	e.renewed = now.UnixMilli()
	return true
}

func (l *ledger) find(sequence eventHash, number uint64) *ledgerEvent {
	for i := range l.events {
		if e := &l.events[i]; e.sequence == sequence && e.number == number {
			return e
		}
	}
	return nil
}

func (l *ledger) claimed(t claimToken) *ledgerEvent {
	for i := range l.events {
		if l.events[i].token == t {
			return &l.events[i]
		}
	}
	return nil
}

func (l *ledger) running() (n int) {
	for i := range l.events {
		if l.events[i].state == eventRunning {
			n++
		}
	}
	return n
}

// runs reports whether an event of the sequence is running.
func (l *ledger) runs(sequence eventHash) bool {
	return slices.ContainsFunc(l.events, func(e ledgerEvent) bool { return e.sequence == sequence && e.state == eventRunning })
}

// The stored form, with big-endian numbers: the magic; the number of sequences in two
// bytes, and each as its name, high and seen; the events until the end, each as sequence,
// number, content, token, renewed, state, and, if it is answered, the number of parts in
// one byte, and each part (the payload, the attachments) after its length in four bytes.
const (
	ledgerMagic    = "fbr\x01"
	sequenceLength = 16 + 8 + 8
	eventLength    = 16 + 8 + 16 + 8 + 8 + 1
)

var errBadLedger = errors.New("socketbridge: the record of a session's events is malformed")

func (l *ledger) encode() []byte {
	size := len(ledgerMagic) + 2 + len(l.sequences)*sequenceLength
	for i := range l.events {
		e := &l.events[i]
		size += eventLength + 1 + 4*(1+len(e.answer.binary)) + e.answer.size()
	}
	b := append(make([]byte, 0, size), ledgerMagic...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(l.sequences)))
	for _, s := range l.sequences {
		b = append(b, s.name[:]...)
		b = binary.BigEndian.AppendUint64(b, s.high)
		b = binary.BigEndian.AppendUint64(b, s.seen)
	}
	for i := range l.events {
		e := &l.events[i]
		b = append(b, e.sequence[:]...)
		b = binary.BigEndian.AppendUint64(b, e.number)
		b = append(b, e.content[:]...)
		b = append(b, e.token[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(e.renewed))
		b = append(b, byte(e.state))
		if e.state != eventAnswered {
			continue
		}
		b = append(b, byte(1+len(e.answer.binary)))
		b = appendPart(b, e.answer.payload)
		for _, part := range e.answer.binary {
			b = appendPart(b, part)
		}
	}
	return b
}

func appendPart(b, part []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
}

// decodeLedger decodes a stored ledger. It shares memory with b.
func decodeLedger(b []byte) (*ledger, error) {
	b, ok := bytes.CutPrefix(b, []byte(ledgerMagic))
	if !ok || len(b) < 2 {
		return nil, errBadLedger
	}
	count := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; count > maxSequences || len(b) < count*sequenceLength {
		return nil, errBadLedger
	}
	l := &ledger{sequences: make([]ledgerSequence, count, count+1)}
	for i := range l.sequences {
		l.sequences[i] = ledgerSequence{eventHash(b), binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])}
		b = b[sequenceLength:]
	}
	for len(b) > 0 {
		if len(b) < eventLength || len(l.events) > 2*maxLedgerEvents {
			return nil, errBadLedger
		}
		e := ledgerEvent{
			sequence: eventHash(b), number: binary.BigEndian.Uint64(b[16:]), content: eventHash(b[24:]),
			token: claimToken(b[40:]), renewed: int64(binary.BigEndian.Uint64(b[48:])), state: eventState(b[56]),
		}
		b = b[eventLength:]
		switch e.state {
		case eventRunning, eventUnanswered, eventTooLarge:
		case eventAnswered:
			if b, ok = e.answer.decode(b); !ok {
				return nil, errBadLedger
			}
		default:
			return nil, errBadLedger
		}
		l.events = append(l.events, e)
	}
	return l, nil
}

// decode decodes an answer and returns the rest of b.
func (a *ledgerAnswer) decode(b []byte) (rest []byte, ok bool) {
	if len(b) < 1 || b[0] == 0 {
		return nil, false
	}
	parts := int(b[0])
	b = b[1:]
	for i := range parts {
		if len(b) < 4 {
			return nil, false
		}
		n := binary.BigEndian.Uint32(b)
		if b = b[4:]; uint64(n) > uint64(len(b)) {
			return nil, false
		}
		if i == 0 {
			a.payload = b[:n:n]
		} else {
			a.binary = append(a.binary, b[:n:n])
		}
		b = b[n:]
	}
	return b, true
}
