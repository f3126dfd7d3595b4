package adminui

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// kind is what a record reports.
type kind uint8

const (
	adminJoined   kind = iota // a page of the UI has connected to this node
	adminFound                // one was found on another node
	socketJoined              // a socket has connected
	socketLeft                // a socket has disconnected
	roomJoined                // a socket has joined a room
	roomLeft                  // a socket has left a room
	roomsMissed               // the rooms of a namespace have to be compared
	eventReceived             // a client has sent an event
	eventSent                 // an event was sent to a client
)

// record is something to report.
type record struct {
	kind   kind
	at     time.Time
	socket *socketbridge.Socket
	ns     *socketbridge.Namespace // of a room
	id     string                  // of the socket that joined or left a room
	text   string                  // a reason, a room or the name of an event
	args   []json.RawMessage
}

const (
	maxRecords      = 4096 // that wait
	eventsPerSecond = 100  // events that are shown, after a burst of twice as many
)

// queue holds the records that wait for the reporter. It never blocks. If it is full, the
// reporter compares all sockets instead, and events are lost.
type queue struct {
	wake chan struct{} // holds an element while there may be something to take

	mu      sync.Mutex
	records []record
	missed  bool      // records other than events were dropped
	tokens  float64   // events that may be added
	filled  time.Time // when tokens was computed
	dropped uint64    // events, since take
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), tokens: 2 * eventsPerSecond, filled: time.Now()}
}

// add queues a record.
func (q *queue) add(r record) {
	r.at = time.Now()
	q.mu.Lock()
	q.push(r)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// push appends a record, unless that is too much. The caller holds mu.
func (q *queue) push(r record) {
	isEvent := r.kind == eventReceived || r.kind == eventSent
	switch {
	case isEvent && (len(q.records) >= maxRecords || !q.allow(r.at)):
		q.dropped++
	case r.kind == adminJoined: // there are as many as pages
		q.records = append(q.records, r)
	case len(q.records) >= maxRecords:
		q.missed = true
	default:
		q.records = append(q.records, r)
	}
}

// allow takes a token for an event. The caller holds mu.
func (q *queue) allow(now time.Time) bool {
	q.tokens = min(2*eventsPerSecond, q.tokens+now.Sub(q.filled).Seconds()*eventsPerSecond)
	q.filled = now
	if q.tokens < 1 {
		return false
	}
	q.tokens--
	return true
}

// take returns all records. missed reports that others are missing.
func (q *queue) take() (records []record, missed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	records, missed = q.records, q.missed
	q.records, q.missed = nil, false
	return records, missed
}

// takeDropped returns how many events were dropped since the last call.
func (q *queue) takeDropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropped
	q.dropped = 0
	return n
}
