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
	historySize = 50
	historyLife = 7 * 24 * time.Hour // after the last word in a room
)

// Message is what somebody said: in a room, or to somebody.
type Message struct {
	ID     string `json:"id"` // made by the page: what is sent twice is said once
	Number int    `json:"number,omitempty"`
	Room   string `json:"room,omitempty"`
	To     *User  `json:"to,omitempty"`
	From   User   `json:"from"`
	Text   string `json:"text"`
	Node   string `json:"node"` // where it came in
	At     int64  `json:"at"`   // ms since 1970
}

// History keeps the last words of each room: one value of the storage per room, which
// changes by compare-and-swap. So messages have one order on all nodes, and numbers
// without gaps, by which a page knows that it missed something.
type History struct{ store storage.Storage }

func historyKey(room string) string { return "history:" + room }

// Last returns the last messages of a room, oldest first.
func (h History) Last(ctx context.Context, room string) ([]Message, error) {
	messages, _, err := h.load(ctx, room)
	return messages, err
}

func (h History) load(ctx context.Context, room string) ([]Message, storage.Revision, error) {
	item, err := h.store.Load(ctx, historyKey(room))
	if errors.Is(err, storage.ErrNotFound) {
		return []Message{}, storage.Absent, nil
	}
	if err != nil {
		return nil, "", err
	}
	var messages []Message
	err = json.Unmarshal(item.Value, &messages)
	return messages, item.Revision, err
}

// Add appends a message to its room and returns it with its number. One that is there
// already, by its sender and ID, is returned as it is: so whoever does not know
// whether it was added may add it again.
func (h History) Add(ctx context.Context, m Message) (Message, error) {
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
		case <-time.After(rand.N(10 * time.Millisecond)): // who met here meets not again at once
		}
	}
}
