package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// loadSocket is a Socket.IO client in the default namespace.
type loadSocket struct {
	visitor *loadVisitor
	conn    loadConn
	done    chan struct{} // closed when the connection has ended

	pid       string // the private ID for recovery
	recovered bool   // the server gave back the socket that asked for it

	mu     sync.Mutex // guards the fields below
	offset string     // of the last event that can be replayed
	last   int        // the last number of an event with an answer
	acks   map[int]chan loadAnswer
}

// loadAnswer is the first argument of an answer.
type loadAnswer json.RawMessage

// bind decodes the answer, or returns the error that it holds.
func (a loadAnswer) bind(v any) error {
	var failed struct {
		Error *struct{ Code, Message string }
	}
	if json.Unmarshal(a, &failed) == nil && failed.Error != nil {
		return fmt.Errorf("%s: %s", failed.Error.Code, failed.Error.Message)
	}
	return json.Unmarshal(a, v)
}

var errSocketClosed = errors.New("the socket was closed")

// officialDelay returns how long the official client waits before an attempt to reconnect, from
// 0: 1 s, doubled each time up to 5 s, and varied by half.
func officialDelay(attempt int) time.Duration {
	d := min(time.Second<<min(attempt, 3), 5*time.Second)
	return d/2 + rand.N(d)
}

// connect opens a socket. It asks for the state of the last one, which may be nil.
func (v *loadVisitor) connect(ctx context.Context, last *loadSocket) (*loadSocket, error) {
	opening, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	conn, err := v.dial(opening)
	if err != nil {
		return nil, err
	}
	s := &loadSocket{visitor: v, conn: conn, done: make(chan struct{}), acks: map[int]chan loadAnswer{}}
	connect := "40"
	if last != nil {
		last.mu.Lock()
		s.offset = last.offset
		last.mu.Unlock()
		if last.pid != "" && s.offset != "" {
			auth, _ := json.Marshal(map[string]string{"pid": last.pid, "offset": s.offset})
			connect += string(auth)
		}
	}
	if err := s.join(opening, connect); err != nil {
		conn.close()
		return nil, err
	}
	if s.recovered = last != nil && s.pid != "" && s.pid == last.pid; !s.recovered {
		s.offset = "" // of another socket
	}
	v.load.running.Go(func() { s.read(ctx) }) // load.end waits for it
	return s, nil
}

// join joins the default namespace.
func (s *loadSocket) join(ctx context.Context, connect string) error {
	if err := s.conn.write(ctx, connect); err != nil {
		return err
	}
	answer, err := s.conn.read(ctx)
	if err != nil {
		return err
	}
	var hello struct{ PID string }
	if !strings.HasPrefix(answer, "40") || json.Unmarshal([]byte(answer[2:]), &hello) != nil {
		return fmt.Errorf("the connect was answered with %s", answer)
	}
	s.pid = hello.PID
	return nil
}

// read handles what arrives until the connection ends.
func (s *loadSocket) read(ctx context.Context) {
	defer close(s.done)
	defer s.conn.close()
	for {
		packet, err := s.conn.read(ctx)
		if err != nil {
			if errors.Is(err, errPollRefused) {
				s.visitor.load.fail(ctx, "poll", err)
			}
			return
		}
		switch {
		case packet == "2":
			_ = s.conn.write(ctx, "3") // the next read fails too
		case strings.HasPrefix(packet, "42"):
			s.event([]byte(packet[2:]))
		case strings.HasPrefix(packet, "43"):
			s.answered(packet[2:])
		}
	}
}

// event handles an event.
func (s *loadSocket) event(b []byte) {
	var args []json.RawMessage
	if json.Unmarshal(b, &args) != nil || len(args) == 0 {
		return
	}
	var offset string
	if json.Unmarshal(args[len(args)-1], &offset) == nil && s.pid != "" {
		s.mu.Lock()
		s.offset = offset
		s.mu.Unlock()
	}
	var m RoomMessage
	if string(args[0]) == strconv.Quote(string(Said)) && len(args) > 1 && json.Unmarshal(args[1], &m) == nil {
		s.visitor.received(m)
	}
}

func (s *loadSocket) answered(text string) {
	at := strings.IndexByte(text, '[')
	if at < 0 {
		return
	}
	id, _ := strconv.Atoi(text[:at])
	var args []json.RawMessage
	_ = json.Unmarshal([]byte(text[at:]), &args)
	s.mu.Lock()
	waiting := s.acks[id]
	delete(s.acks, id)
	s.mu.Unlock()
	if waiting != nil && len(args) > 0 {
		waiting <- loadAnswer(args[0])
	}
}

// ask emits an event and waits for its answer.
func (s *loadSocket) ask(ctx context.Context, event string, arg any) (loadAnswer, error) {
	answer := make(chan loadAnswer, 1)
	s.mu.Lock()
	s.last++
	id := s.last
	s.acks[id] = answer
	s.mu.Unlock()
	b, err := json.Marshal([]any{event, arg})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	if s.conn.write(ctx, fmt.Sprintf("42%d%s", id, b)) != nil {
		return nil, errSocketClosed
	}
	select {
	case a := <-answer:
		return a, nil
	case <-s.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-answer: // it came with the end
		return a, nil
	default:
		return nil, errSocketClosed
	}
}
