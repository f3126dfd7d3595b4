package socketbridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// resumeRequest is the part of a client's auth that names the socket it had.
type resumeRequest struct {
	PID    string `json:"pid"`
	Offset string `json:"offset"` // of the last event that the client received
}

// maxResumeField limits the length of both fields.
const maxResumeField = 64

func parseResumeRequest(auth json.RawMessage) (req resumeRequest, ok bool) {
	ok = len(auth) > 0 && json.Unmarshal(auth, &req) == nil &&
		req.PID != "" && len(req.PID) <= maxResumeField && len(req.Offset) <= maxResumeField
	return req, ok
}

// attach implements recoveryLog.
func (b *recoveryBase) attach(ctx context.Context, s *Socket) {
	log, rec := s.ns.recovery, s.recovery
	log.Lock()
	rec.Joined = log.position()
	log.Unlock()
	if rec.quota = s.id; s.session != nil {
		rec.quota = sessionRoom(s.session)
	}
	if s.client.plain != nil {
		return
	}
	req, ok := parseResumeRequest(s.auth)
	if !ok {
		return
	}
	ctx, finish := s.server().trace(ctx, Operation{Kind: OpRecover, Namespace: s.ns.name, Socket: s})
	key, err := b.resume(ctx, s, req)
	if err != nil {
		s.report(&recoveryRefusedNotice, key, "cause", err)
	}
	finish(err)
}

// Reasons why a client that reconnects gets a new socket.
var (
	errResumeSession = errors.New("its session has ended")
	errResumeState   = errors.New("no state is kept for its private ID, session and user")
	errResumeOffset  = errors.New("its offset is not one that its socket was sent")
)

// resume gives the socket the state of the one that the client had. If it returns an error, the
// client gets a new socket; key is a word for the reason.
func (b *recoveryBase) resume(ctx context.Context, s *Socket, req resumeRequest) (key string, err error) {
	log, rec, o := s.ns.recovery, s.recovery, s.owner()
	if o.session == "" {
		return "session", errResumeSession
	}
	if old := b.connectedSocket(req.PID, s.ns, o); old != nil {
		old.closeAndWait(ctx)
	}
	st := log.restore(s, req.PID, o)
	if st == nil {
		return "state", errResumeState
	}
	after, confirmed, ok := st.resumePoint(req.Offset)
	if !ok {
		return "offset", errResumeOffset
	}
	r := newReplay(s.server(), st.addressed, after)
	if err := s.readLog(r); err != nil {
		return "events", err
	}
	s.mu.Lock()
	s.id = st.id
	rec.restored, rec.replay, rec.Joined, rec.Confirmed = st, r, after, confirmed
	s.pending = slices.Clone(st.rooms)
	s.mu.Unlock()
	s.data.restore(st.data)
	return "", nil
}

// resumePoint returns the position from which events must be replayed, and the position
// that the client has confirmed with its offset. If the offset is that of the last event
// queued to the socket, the client missed nothing while it was connected, and events
// before the disconnection need not be kept any more.
func (st *savedState) resumePoint(offset string) (after, confirmed uint64, ok bool) {
	if offset != "" { // else the client has received nothing yet
		if confirmed, ok = st.ns.recovery.parseOffset(offset); !ok {
			return 0, 0, false
		}
	}
	switch {
	case st.foreign:
		return confirmed, confirmed, confirmed > 0
	case confirmed > st.Left, confirmed < st.Joined && confirmed != st.Confirmed:
		return 0, 0, false
	case confirmed >= st.Queued:
		return st.Left, confirmed, true
	default:
		return max(confirmed, st.Joined), confirmed, true // if it is st.Confirmed, nothing arrived since the socket joined
	}
}

// replay collects the events that a recovered socket missed.
type replay struct {
	rooms  map[string]bool // the rooms of the socket
	upTo   uint64          // position up to which the log was read
	events []replayEvent

	size, maxSize int
}

// replayEvent is an event with its offset, encoded.
type replayEvent struct {
	position uint64
	msgs     []transport.Message
}

func (e replayEvent) compare(position uint64) int { return cmp.Compare(e.position, position) }

func newReplay(s *Server, rooms map[string]bool, after uint64) *replay {
	return &replay{rooms: rooms, upTo: after, maxSize: s.recovery.cfg.MaxBytesPerSession}
}

// addressed reports whether an event was addressed to the socket.
func (r *replay) addressed(to, except []string) bool {
	in := func(name string) bool { return r.rooms[name] }
	return (len(to) == 0 || slices.ContainsFunc(to, in)) && !slices.ContainsFunc(except, in)
}

// add adds an event. It returns errReplayTooLong above the limit.
func (r *replay) add(position uint64, size int, msgs []transport.Message) error {
	if r.size += size; r.size > r.maxSize {
		return errReplayTooLong
	}
	r.events = append(r.events, replayEvent{position, msgs})
	return nil
}

// readLog adds the events that the socket has missed until now to r.
func (s *Socket) readLog(r *replay) error {
	ctx, cancel := context.WithTimeout(s.Context(), s.server().cfg.Timeouts.Request)
	defer cancel()
	err := s.ns.recovery.read(ctx, r)
	if errors.Is(err, adapter.ErrUnavailable) || errors.Is(err, adapter.ErrClosed) {
		s.report(&recoveryUnreadableNotice, "", "error", err)
	}
	return err
}

// updateReplay adds the events that were sent while the connect middlewares ran.
func (s *Socket) updateReplay() error {
	if s.recovery.restored == nil {
		return nil
	}
	return s.readLog(s.recovery.replay)
}

// takeReplay returns the events to replay and records them as queued. It returns
// ErrDisconnected if the socket's owner changed while the connect middlewares ran. The
// caller holds the lock of the log.
func (s *Socket) takeReplay() ([]replayEvent, error) {
	rec := s.recovery
	if rec.restored == nil {
		return nil, nil
	}
	if s.owner() != rec.restored.owner {
		return nil, ErrDisconnected
	}
	events := rec.replay.events
	rec.replayedTo, rec.replay = rec.replay.upTo, nil
	rec.Queued = max(rec.Queued, rec.restored.Queued)
	if n := len(events); n > 0 {
		rec.Queued = max(rec.Queued, events[n-1].position)
	}
	return events, nil
}

// mergeEarly splits the events that were emitted before the client was told that it is
// connected. An event that the replay contains is dropped. An event at a replayed
// position that the replay does not contain was addressed to a room that the socket has
// joined since, and is added to the replay. All others are sent after the replay. The
// caller holds the lock of the log, and s.mu.
func (s *Socket) mergeEarly(events []replayEvent) (replayed []replayEvent, later []early) {
	if s.early == nil {
		return events, nil
	}
	for _, e := range s.early.packets {
		if e.position == 0 || e.position > s.recovery.replayedTo {
			later = append(later, e)
		} else if i, found := slices.BinarySearchFunc(events, e.position, replayEvent.compare); !found && e.position > s.recovery.Joined {
			events = slices.Insert(events, i, replayEvent{e.position, e.msgs})
		}
	}
	return events, later
}
