package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

const (
	historySize = 50                 // messages per room
	historyLife = 7 * 24 * time.Hour // after the last message in a room
)

// History stores the last messages of each room. A room's messages are one value in the
// storage, updated by compare-and-swap. They therefore have the same order on all nodes and
// numbers without gaps, so a page can detect that it missed a message.
type History struct{ store storage.Storage }

func historyKey(room string) string { return "history:" + room }

// Last returns the last messages of a room, oldest first.
func (h History) Last(ctx context.Context, room string) ([]RoomMessage, error) {
	messages, _, err := h.load(ctx, room)
	return messages, err
}

func (h History) load(ctx context.Context, room string) ([]RoomMessage, storage.Revision, error) {
	item, err := h.store.Load(ctx, historyKey(room))
	if errors.Is(err, storage.ErrNotFound) {
		return []RoomMessage{}, storage.Absent, nil
	}
	if err != nil {
		return nil, "", err
	}
	var messages []RoomMessage
	err = json.Unmarshal(item.Value, &messages)
	return messages, item.Revision, err
}

// Add appends a message to its room and returns it with its number. If the room already has
// a message with the same sender and ID, Add returns that one, so a caller that does not
// know whether an earlier call succeeded can call Add again.
func (h History) Add(ctx context.Context, m RoomMessage) (RoomMessage, error) {
	for {
		messages, revision, err := h.load(ctx, m.Room)
		if err != nil {
			return m, err
		}
		m.Number = 1
		for _, other := range messages {
			if other.ID == m.ID && other.From.ID == m.From.ID {
				return other, nil
			}
			m.Number = other.Number + 1
		}
		messages = append(messages, m)
		messages = messages[max(0, len(messages)-historySize):]
		value, err := json.Marshal(messages)
		if err != nil {
			return m, err
		}
		_, err = h.store.CompareAndSwap(ctx, historyKey(m.Room), revision, value, historyLife)
		if !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrUnknownOutcome) {
			return m, err
		}
		select {
		case <-ctx.Done():
			return m, err
		case <-time.After(rand.N(10 * time.Millisecond)): // a random delay avoids the next conflict
		}
	}
}
