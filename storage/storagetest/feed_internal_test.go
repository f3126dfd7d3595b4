package storagetest

import (
	"context"
	"testing"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// gapWatch is a watch whose Add reports the change that follows it.
type gapWatch struct{ changes chan storage.Change }

func (w gapWatch) Add(_ context.Context, keys ...string) error {
	for _, key := range keys {
		w.changes <- change(key)
	}
	return nil
}
func (gapWatch) Remove(...string) {}
func (gapWatch) Close() error     { return nil }

func change(key string) storage.Change {
	return storage.Change{Kind: storage.Written, Key: key, Item: storage.Item{Value: []byte("v")}}
}

// After a gap, a change may be missing or come late, and the test goes on.
func TestRecorderToleratesAGap(t *testing.T) {
	t.Parallel()
	gap := storage.Change{Kind: storage.Gap}
	for name, reported := range map[string][]storage.Change{
		"no gap":                      {change("a"), change("b"), change("c")},
		"nothing missed":              {gap, change("a"), change("b"), change("c")},
		"one missed":                  {gap, change("b"), change("c")},
		"all missed":                  {gap},
		"the rest missed":             {change("a"), gap},
		"the first missed, two gaps":  {gap, change("b"), gap, change("c")},
		"the last one before the gap": {change("a"), change("b"), gap, change("c")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := memory.New()
			defer s.Close()
			w := gapWatch{make(chan storage.Change, 100)}
			r := &recorder{Watch: w, s: s, changes: w.changes}
			for _, c := range reported {
				w.changes <- c
			}
			r.want(t.Context(), t, "a=v", "b=v", "c=v")
			w.changes <- change("next")
			r.want(t.Context(), t, "next=v")
		})
	}
}
