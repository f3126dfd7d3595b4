package fibersession_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// ttlStorage is a storage whose clock says that each key has this long left.
type ttlStorage struct {
	storage.Storage
	left time.Duration
}

func (s *ttlStorage) TTL(context.Context, string) (time.Duration, error) { return s.left, nil }

// A session was written by a node whose clock is two hours behind, or this node's clock is two
// hours ahead: by its idle limit it has expired. It ends only if its time is over by the
// storage's clock too, of which a minute is the margin of the TTL, or if its absolute limit has
// passed.
func TestR22_ClockOfTheStorageDecides(t *testing.T) {
	t.Parallel()
	const expiry, absolute = 32, 40 // offsets in the envelope: layout_sealed.go
	for name, tt := range map[string]struct {
		fields []int // set back by two hours
		left   time.Duration
		ended  bool
	}{
		"it lives":                      {[]int{expiry}, 21 * time.Minute, false},
		"it lives for seconds":          {[]int{expiry}, time.Minute + 3*time.Second, false},
		"its time is over":              {[]int{expiry}, time.Minute, true},
		"its TTL was rounded up":        {[]int{expiry}, time.Minute + time.Second, true},
		"the TTL was removed":           {[]int{expiry}, 0, true},
		"its absolute limit has passed": {[]int{expiry, absolute}, 21 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := &ttlStorage{Storage: memory.New(), left: tt.left}
			t.Cleanup(func() { _ = st.Close() })
			var log noticetest.Log
			cfg := fibersession.Config{Storage: st, Expiration: time.Hour, Timeouts: fibersession.Timeouts{Absolute: 90 * time.Minute}, Logger: log.Logger()}
			s := newStore(t, cfg)
			id := storedSession(t, newStore(t, cfg), map[string]any{"n": 1}).ID()
			item, err := st.Load(ctx, s.StoreKey(id))
			must(t, err)
			for _, at := range tt.fields {
				binary.BigEndian.PutUint64(item.Value[at:], binary.BigEndian.Uint64(item.Value[at:])-uint64(2*time.Hour))
			}
			_, err = st.CompareAndSwap(ctx, s.StoreKey(id), item.Revision, item.Value, time.Hour)
			must(t, err)

			h, err := s.GetByID(ctx, id)
			if tt.ended {
				if !errors.Is(err, fibersession.ErrNotFound) && !errors.Is(err, fibersession.ErrExpired) {
					t.Errorf("GetByID = %v, want that it expired", err)
				}
				if _, err := st.Load(ctx, s.StoreKey(id)); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("the stored value: got %v, want ErrNotFound", err)
				}
				if log.Has("notice=clock_differs") {
					t.Errorf("the log says that the clocks differ:\n%s", log.String())
				}
				return
			}
			must(t, err)
			defer h.Release()
			for range 2 { // the second one finds the same revision
				must(t, h.Reload(ctx))
			}
			if h.Get("n") != 1 {
				t.Errorf("got n = %v, want 1", h.Get("n"))
			}
			if got := s.Stats().Notices["clock_differs"]; got != 1 || !log.Has("notice=clock_differs") {
				t.Errorf("the clocks differ %d times, want 1; the log:\n%s", got, log.String())
			}
			must(t, h.Touch(ctx))
			if writes := s.Stats().Writes; writes != 1 {
				t.Errorf("the use wrote %d times, want 1: its limit is near", writes)
			}
		})
	}
}

// A session was last used by a node whose clock is an hour ahead, or this node's clock was set
// back: its limit is further away than any use sets it. A use extends it nevertheless, since
// the storage removes it at its TTL.
func TestR22_UseAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ahead  time.Duration
		writes uint64
	}{
		"an hour":     {time.Hour, 1},
		"two minutes": {2 * time.Minute, 1},
		"a second":    {time.Second, 0}, // clocks of nodes differ by as much
		"not at all":  {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			t.Cleanup(func() { _ = st.Close() })
			cfg := fibersession.Config{Storage: st, Expiration: 30 * time.Minute}
			s := newStore(t, cfg)
			id := storedSession(t, newStore(t, cfg), nil).ID()
			item, err := st.Load(ctx, s.StoreKey(id))
			must(t, err)
			binary.BigEndian.PutUint64(item.Value[32:], binary.BigEndian.Uint64(item.Value[32:])+uint64(tt.ahead))
			_, err = st.CompareAndSwap(ctx, s.StoreKey(id), item.Revision, item.Value, time.Hour)
			must(t, err)
			h := handleOf(t, s, id)
			for range 2 { // the second use finds the new limit
				must(t, h.Touch(ctx))
			}
			if got := s.Stats().Writes; got != tt.writes {
				t.Errorf("two uses wrote %d times, want %d", got, tt.writes)
			}
		})
	}
}
