package inspector

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

const (
	authorizedFor = 60 * time.Second // by one pass
	maxPages      = 100              // that are open on this node
	tick          = time.Second      // between summaries
	countEvery    = 5                // ticks between counts of the nodes
)

// watching is the room of the pages that are visible.
const watching = "watching"

// pages are the open pages of this node. The zero value has none.
type pages struct {
	mu   sync.Mutex
	all  map[*socketbridge.Socket]*openPage
	stop func() // of the summaries; nil if no page is visible
}

// openPage is one of them.
type openPage struct {
	administrator string
	visible       bool
	until         time.Time
	end           *time.Timer // disconnects the socket when no further pass has come
}

// serveNamespace opens the namespace of the page.
func (i *inspector) serveNamespace() {
	i.ns = i.io.Of(Namespace).SetMode(socketbridge.SessionNone)
	i.serveNodes()
	i.ns.Use(i.admit)
	i.ns.OnConnection(func(s *socketbridge.Socket) {
		s.OnDisconnect(func(socketbridge.Reason) { i.closed(s) })
		if _, ok := i.administrator(s); !ok {
			s.Disconnect()
		}
	})
	i.ns.On("visible", i.onVisible)
	i.ns.On("renew", i.onRenew)
	i.ns.On("ask", i.onAsk)
}

// forbidden is the answer to a client without a valid pass.
var forbidden = &socketbridge.EventError{Code: socketbridge.CodeForbidden, Message: "forbidden"}

// admit is the connect middleware.
func (i *inspector) admit(c *socketbridge.Connect) error {
	var auth struct{ Pass string }
	if err := c.Auth(&auth); err != nil {
		auth.Pass = ""
	}
	administrator, ok := i.redeem(c.Context(), auth.Pass)
	s := c.Socket()
	if !ok || !i.open(s, administrator) {
		i.notices.Report(&refusedNotice, "socket", "socket", s.ID(), "remote", c.Handshake().RemoteIP)
		return forbidden
	}
	if err := c.Next(); err != nil {
		i.closed(s)
		return err
	}
	return nil
}

// open makes the socket a page's, until its authorization is over.
func (i *inspector) open(s *socketbridge.Socket, administrator string) bool {
	i.pages.mu.Lock()
	defer i.pages.mu.Unlock()
	if len(i.pages.all) >= maxPages {
		return false
	}
	if i.pages.all == nil {
		i.pages.all = make(map[*socketbridge.Socket]*openPage)
	}
	i.pages.all[s] = &openPage{
		administrator: administrator,
		until:         time.Now().Add(i.pace.authorized),
		end: time.AfterFunc(i.pace.authorized, func() {
			i.closed(s)
			s.Disconnect()
		}),
	}
	return true
}

// administrator returns whose page the socket is. ok is false when the authorization is over.
func (i *inspector) administrator(s *socketbridge.Socket) (name string, ok bool) {
	i.pages.mu.Lock()
	defer i.pages.mu.Unlock()
	p := i.pages.all[s]
	if p == nil || time.Now().After(p.until) {
		return "", false
	}
	return p.administrator, true
}

// closed forgets a page. The last visible one stops the summaries, and waits for them.
func (i *inspector) closed(s *socketbridge.Socket) {
	i.pages.mu.Lock()
	p := i.pages.all[s]
	if p != nil {
		p.end.Stop()
		delete(i.pages.all, s)
	}
	stop := i.stopIfUnseen()
	i.pages.mu.Unlock()
	stop()
}

// stopIfUnseen returns the function that stops the summaries, if no page is visible. The caller
// holds i.pages.mu, and calls the function without it.
func (i *inspector) stopIfUnseen() (stop func()) {
	stop = i.pages.stop
	for _, p := range i.pages.all {
		if p.visible {
			return func() {}
		}
	}
	i.pages.stop = nil
	if stop == nil {
		return func() {}
	}
	return stop
}

// onVisible handles that a page became visible or hidden.
func (i *inspector) onVisible(p *socketbridge.Packet) error {
	var visible bool
	if err := p.Bind(&visible); err != nil {
		return err
	}
	s := p.Socket()
	if _, ok := i.administrator(s); !ok {
		return forbidden
	}
	if !visible {
		s.Leave(watching)
	} else if err := s.Join(watching); err != nil {
		return err
	}
	i.pages.mu.Lock()
	if page := i.pages.all[s]; page != nil {
		page.visible = visible
		if visible && i.pages.stop == nil {
			i.pages.stop = i.startSummaries()
		}
	}
	stop := i.stopIfUnseen()
	i.pages.mu.Unlock()
	stop()
	return nil
}

// startSummaries sends summaries of all nodes to the visible pages, until stop is called.
func (i *inspector) startSummaries() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // stop waits for it
		defer close(done)
		i.sendSummaries(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func (i *inspector) sendSummaries(ctx context.Context) {
	next := time.NewTicker(tick)
	defer next.Stop()
	nodes := 1
	for n := 0; ; n++ {
		if n%countEvery == 0 {
			limited, cancel := context.WithTimeout(ctx, summaryIn)
			if count, err := i.io.Nodes(limited); err == nil {
				nodes = count
			}
			cancel()
		}
		a := i.ask(ctx, &query{Op: opSummary}, summaryIn)
		if ctx.Err() != nil {
			return
		}
		a.Strangers = max(0, nodes-len(a.Nodes))
		if err := i.ns.To(watching).Local().Volatile().Emit("summary", a); err != nil {
			i.failed("a summary", err)
		}
		i.emitted.Add(1)
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
	}
}

// onRenew handles a further pass, without which the page is disconnected.
func (i *inspector) onRenew(p *socketbridge.Packet) error {
	var text string
	if err := p.Bind(&text); err != nil {
		return err
	}
	s := p.Socket()
	administrator, ok := i.redeem(p.Context(), text)
	i.pages.mu.Lock()
	page := i.pages.all[s]
	ok = ok && page != nil && page.administrator == administrator
	if ok {
		page.until = time.Now().Add(i.pace.authorized)
		page.end.Reset(i.pace.authorized)
	}
	i.pages.mu.Unlock()
	if !ok {
		return forbidden
	}
	return p.Ack(true)
}

// onAsk answers a page.
func (i *inspector) onAsk(p *socketbridge.Packet) error {
	var q query
	if err := p.Bind(&q); err != nil {
		return err
	}
	if _, ok := i.administrator(p.Socket()); !ok {
		return forbidden
	}
	for _, text := range []*string{&q.Search, &q.After, &q.User, &q.Session, &q.Socket, &q.Namespace, &q.Room, &q.Name, &q.Filter.Text, &q.Filter.User} {
		if len(*text) > maxQueryLen {
			return &socketbridge.EventError{Code: socketbridge.CodeBadArguments, Message: "too long"}
		}
	}
	q.Search, q.Filter.Text = strings.ToLower(q.Search), strings.ToLower(q.Filter.Text)
	ctx := p.Context()
	switch q.Op {
	case opUsers, opSessions, opRooms, opSent, opTimeline, opHistory:
		return p.Ack(i.ask(ctx, &q, answerIn))
	case opSockets, opUser:
		return p.Ack(i.askSockets(ctx, &q))
	case opExplain:
		a := answer{}
		if e, ok := advice[q.Name]; ok {
			a.Explain = &e
		}
		return p.Ack(a)
	case opEnd:
		return p.Ack(i.endFor(ctx, p.Socket(), &q))
	}
	return &socketbridge.EventError{Code: socketbridge.CodeBadArguments, Message: "unknown question"}
}

// askSockets asks for sockets, also those of nodes without an inspector, and for the sessions of
// a user.
func (i *inspector) askSockets(ctx context.Context, q *query) *answer {
	a := i.ask(ctx, q, answerIn)
	if (q.User != "" || q.Room != "") && q.After == "" && a.Total < pageSize {
		limited, cancel := context.WithTimeout(ctx, answerIn)
		defer cancel()
		i.foreign(limited, q, a)
	}
	if q.Op == opUser {
		devices, err := i.devices(ctx, q.User)
		if err != nil {
			a.Error = "The sessions of the user cannot be listed: " + reason(err)
		}
		a.Devices = devices
	}
	return a
}
