package fibersession

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"sync"
	"time"
)

// A session that gets a new ID leaves a note under its old key, which leads other nodes to
// the new key. noteList names the notes that may still exist, so that the session's end can
// remove them: each entry is the fingerprint of a former ID and the Unix time in seconds at
// which the storage removes the note by itself. The oldest entry comes first.
//
// A full list moves into the note that is being written, and the session begins a new list
// with that note. So the session stays small, and all notes are found from it.
type noteList string

const (
	noteEntry = len(fingerprint{}) + 8
	maxNotes  = 8 // entries of a session's list
)

func (l noteList) len() int { return len(l) / noteEntry }

// all returns the fingerprints of the former IDs.
func (l noteList) all() iter.Seq2[int, fingerprint] {
	return func(yield func(int, fingerprint) bool) {
		for i := range l.len() {
			if !yield(i, fingerprint([]byte(l[i*noteEntry:][:len(fingerprint{})]))) {
				return
			}
		}
	}
}

// add returns the session's list after it left a note under owner's key, which ends at end,
// and the list that this note has to carry.
func (l noteList) add(owner fingerprint, end, now time.Time) (next, carried noteList) {
	for i := range l.len() {
		if e := l[i*noteEntry:][:noteEntry]; now.Unix() <= int64(binary.BigEndian.Uint64([]byte(e[len(owner):]))) {
			next += e
		}
	}
	if next.len() >= maxNotes {
		next, carried = "", next
	}
	added := binary.BigEndian.AppendUint64(owner[:], uint64(end.Unix())+1)
	return next + noteList(added), carried
}

// removeNotes deletes the notes of a session that has ended. It ignores errors: the notes
// end by their TTL. A node that has not heard of the move finds its old key missing, which
// tells it that the session has ended.
func (s *Store) removeNotes(ctx context.Context, m *meta) {
	list := m.notes
	for range maxMoves / maxNotes {
		if list.len() == 0 {
			return
		}
		older := make([]noteList, list.len())
		var removing sync.WaitGroup
		for i, owner := range list.all() {
			removing.Go(func() { older[i] = s.removeNote(ctx, s.layout.placeByFingerprint(owner), m.lineage) }) // ends with ctx
		}
		removing.Wait()
		list = ""
		for _, l := range older {
			list += l
		}
	}
}

// removeNote deletes the note at a place and returns the list that it carries. It deletes
// nothing but a note of this lineage: the key may belong to another session by now.
func (s *Store) removeNote(ctx context.Context, at place, of lineage) (carried noteList) {
	item, err := s.storage.Load(ctx, at.key)
	if err != nil {
		return ""
	}
	var moved *movedError
	if _, _, err := s.layout.decode(at, item.Value); !errors.As(err, &moved) || moved.lineage != of {
		return ""
	}
	_ = s.storage.CompareAndDelete(ctx, at.key, item.Revision)
	return moved.notes
}
