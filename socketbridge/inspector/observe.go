package inspector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// observe starts to record the time line. It goes on for as long as the server exists: what
// happened to a session is asked after it has happened.
func (i *inspector) observe() {
	i.io.Observe(socketbridge.Trace{
		Operation:      i.operation,
		Connected:      i.connected,
		Disconnected:   i.disconnected,
		Handled:        i.handled,
		SessionChanged: i.told,
		Reported:       i.reported,
	})
	if i.sessions != nil {
		i.sessions.Observe(fibersession.Trace{Operation: i.storeOperation, Reported: i.storeReported})
	}
}

// causeContext is the context in which an event is handled. A change of a session that was made
// with it was made by the event.
type causeContext struct {
	context.Context
	packet *socketbridge.Packet
}

type causeKey struct{}

// Value implements context.Context.
func (c *causeContext) Value(key any) any {
	if key == (causeKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// operation is the hook before an operation of the server.
func (i *inspector) operation(ctx context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
	if op.Kind != socketbridge.OpHandle || op.Namespace == Namespace {
		return nil, nil
	}
	c := &causeContext{ctx, op.Packet}
	timed, shown := i.counts.answered.count(), i.watch.focus.has(op.Socket)
	if !timed && !shown {
		return c, nil
	}
	start := time.Now()
	return c, func(err error) {
		took := time.Since(start)
		if timed {
			i.counts.answered.add(took)
		}
		if shown && err == nil {
			i.watch.handled(i, op, took)
		}
	}
}

// subject returns the pseudonym of the socket's session, and its user.
func subject(s *socketbridge.Socket) (session, user string) {
	if h := s.Session(); h != nil {
		session = h.Pseudonym(fibersession.LogLabel)
	}
	return session, s.User()
}

func (i *inspector) recordOf(s *socketbridge.Socket, kind string) *record {
	session, user := subject(s)
	return &record{Kind: kind, Namespace: s.Namespace().Name(), Socket: s.ID(), Session: session, User: user}
}

func (i *inspector) connected(s *socketbridge.Socket) {
	if s.Namespace() == i.ns {
		return
	}
	r := i.recordOf(s, kindConnected)
	h := s.Handshake()
	r.Text = h.RemoteIP + ", " + s.Transport()
	if s.Recovered() {
		r.Text += ", recovered"
	}
	i.timeline.add(r)
}

func (i *inspector) disconnected(s *socketbridge.Socket, reason socketbridge.Reason) {
	if s.Namespace() == i.ns {
		return
	}
	r := i.recordOf(s, kindDisconnected)
	r.Text = string(reason)
	i.timeline.add(r)
}

// handled is the hook after an event.
func (i *inspector) handled(p *socketbridge.Packet, err error) {
	s := p.Socket()
	if s.Namespace() == i.ns {
		return
	}
	if err == nil {
		return
	}
	i.counts.errors.Add(1)
	r := i.recordOf(s, kindFailed)
	r.Event, r.Notice, r.Text = p.Event(), noticeOf(err), err.Error()
	i.timeline.add(r)
	i.problems.saw(r.Notice, slog.LevelWarn, "")
}

// noticeOf returns the name of the notice that is about the error of an event.
func noticeOf(err error) string {
	var bad *socketbridge.ArgumentError
	switch {
	case errors.As(err, &bad):
		return bad.Code() // which the notice is named after
	case errors.Is(err, fibersession.ErrSessionGone):
		return "session_ended"
	case errors.Is(err, fibersession.ErrUnavailable), errors.Is(err, fibersession.ErrUnknownOutcome):
		return "storage_failed"
	}
	return "handler_error"
}

// told is the hook when a socket is told of a change of its session.
func (i *inspector) told(s *socketbridge.Socket, e fibersession.Event) {
	r := i.recordOf(s, kindTold)
	r.Told, r.Socket, r.Namespace = []string{r.Socket}, "", ""
	switch e.Kind {
	case fibersession.Changed:
		r.Text, r.Keys = "changed", e.Keys[:min(len(e.Keys), maxShownKeys)]
	case fibersession.Renewed:
		r.Text = "regenerated"
	case fibersession.Ended:
		r.Text = "ended"
		if e.Cause != nil {
			r.Text += ": " + e.Cause.Error()
		}
	}
	i.timeline.tell(r)
}

// reported is the hook for what the server refuses, drops, closes or fails to do. What is logged
// at Debug happens when all is well, and is left out.
func (i *inspector) reported(r socketbridge.Report) {
	if r.Socket != nil && r.Socket.Namespace() == i.ns || r.Level < slog.LevelInfo {
		return
	}
	if r.Socket != nil && (r.Name == "handler_error" || r.Name == socketbridge.CodeBadArguments || r.Name == socketbridge.CodeInvalidArgument) {
		return // see handled
	}
	out := &record{Kind: kindReport, Notice: r.Name, Level: levelName(r.Level), Text: message(r.Text)}
	if r.Socket != nil {
		out.Namespace, out.Socket, out.User = r.Socket.Namespace().Name(), r.Socket.ID(), r.Socket.User()
	}
	if i.problems.saw(r.Name, r.Level, r.Setting) {
		describe(out, r.Attrs())
		if out.User == "" && out.Session != "" && r.Socket != nil && r.Socket.Session() != nil {
			out.User = r.Socket.Session().User() // the socket was refused
		}
	}
	i.timeline.add(out)
}

func (i *inspector) storeReported(r fibersession.Report) {
	if r.Level < slog.LevelInfo {
		return
	}
	out := &record{Kind: kindReport, Notice: r.Name, Level: levelName(r.Level), Text: message(r.Text)}
	if i.problems.saw(r.Name, r.Level, r.Setting) {
		describe(out, r.Attrs())
	}
	i.timeline.add(out)
}

// describe puts the attributes of a log line into a record.
func describe(r *record, attrs []slog.Attr) {
	text := &strings.Builder{}
	var add func(attrs []slog.Attr)
	add = func(attrs []slog.Attr) {
		for _, a := range attrs {
			v := a.Value.Resolve()
			switch {
			case v.Kind() == slog.KindGroup:
				add(v.Group())
			case a.Key == "session":
				r.Session = v.String()
			case a.Key == "user" && r.User == "":
				r.User = v.String()
			case a.Key == "event":
				r.Event = v.String()
			case a.Key == "namespace" && r.Namespace == "":
				r.Namespace = v.String()
			case a.Key == "namespace", a.Key == "socket":
			default:
				if text.Len() > 0 {
					text.WriteString(" · ")
				}
				fmt.Fprintf(text, "%s: %s", a.Key, v)
			}
		}
	}
	add(attrs)
	if text.Len() > 0 {
		r.Text = text.String()
	}
}

// message returns the text of a notice without the package that it begins with.
func message(text string) string {
	_, after, _ := strings.Cut(text, ": ")
	return after
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

// storeOperation is the hook before the store reads or writes a session.
func (i *inspector) storeOperation(ctx context.Context, op *fibersession.Operation) (context.Context, func(error)) {
	timed := i.counts.stored.count()
	change := op.Kind == fibersession.OpSave || op.Kind == fibersession.OpRegenerate || op.Kind == fibersession.OpDestroy
	if !timed && !change {
		return nil, nil
	}
	start := time.Now()
	if !change {
		return nil, func(error) { i.counts.stored.add(time.Since(start)) }
	}
	r := &record{Time: start.UnixMilli(), Session: op.Session(), User: op.User(), Request: op.Request}
	if cause, ok := ctx.Value(causeKey{}).(*causeContext); ok {
		s := cause.packet.Socket()
		r.Event, r.Namespace, r.Socket = cause.packet.Event(), s.Namespace().Name(), s.ID()
	}
	r.Keys = op.Keys()
	for _, key := range i.cfg.Values {
		if v, ok := op.Value(key); ok {
			if r.Values == nil {
				r.Values = make(map[string]string)
			}
			r.Values[key] = show(v)
		}
	}
	return nil, func(err error) {
		took := time.Since(start)
		if timed {
			i.counts.stored.add(took)
		}
		i.counts.saves.Add(1)
		r.Took = took.Microseconds()
		if r.Session == "" {
			r.Session = op.Session()
		}
		if r.User == "" {
			r.User = op.User()
		}
		switch {
		case err != nil:
			r.Kind, r.Notice, r.Text = kindUnsaved, noticeOf(err), err.Error()
			if r.Notice == "handler_error" { // the store refused the change itself, such as one that is too large
				r.Notice = ""
			}
		case op.Kind == fibersession.OpRegenerate:
			r.Kind = kindRegenerated
		case op.Kind == fibersession.OpDestroy:
			r.Kind = kindEnded
		default:
			r.Kind = kindChanged
		}
		i.timeline.add(r)
	}
}

// show returns a value of a session as text.
func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	return cut(string(text), 200)
}

// maxDescribed is how many reports a second are recorded with their attributes, which are costly.
const maxDescribed = 50

// problems counts what went wrong on this node since the inspector was mounted. The zero value
// is empty. There are as many as kinds of notices.
type problems struct {
	mu        sync.Mutex
	all       map[string]problem
	second    int64
	described int
}

// problem is a kind of notice that was reported.
type problem struct {
	Name    string `json:"name"`
	Level   string `json:"level"`
	Setting string `json:"setting,omitempty"`
	Count   uint64 `json:"count"`
	Last    int64  `json:"last,omitempty"` // milliseconds since 1970; 0 if it was before the inspector was mounted
}

// saw counts a report. It returns whether its attributes may be read.
func (p *problems) saw(name string, level slog.Level, setting string) (describe bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = make(map[string]problem)
	}
	one := p.all[name]
	one.Name, one.Level, one.Last = name, levelName(level), now.UnixMilli()
	if setting != "" {
		one.Setting = setting
	}
	one.Count++
	p.all[name] = one
	if now.Unix() != p.second {
		p.second, p.described = now.Unix(), 0
	}
	p.described++
	return p.described <= maxDescribed
}

// list returns all problems.
func (p *problems) list() []problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]problem, 0, len(p.all))
	for _, one := range p.all {
		all = append(all, one)
	}
	return all
}
