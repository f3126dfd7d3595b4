package inspector

import (
	"context"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// askEvent is the server-side event by which nodes ask each other.
const askEvent = "ask"

// How long the other nodes have for an answer. A node without an inspector never answers, so
// that in a cluster with one each question takes this long.
const (
	summaryIn = 800 * time.Millisecond
	answerIn  = 2 * time.Second
	endIn     = 5 * time.Second
)

// serveNodes answers the questions of other nodes.
func (i *inspector) serveNodes() {
	i.ns.OnServerSideEmit(askEvent, func(e *socketbridge.ServerEvent) {
		var q query
		if err := e.Bind(&q); err != nil {
			i.failed("a question of another node", err)
			return
		}
		if err := e.Ack(i.answerHere(&q)); err != nil {
			i.failed("an answer to another node", err)
		}
	})
}

// ask asks this and all other nodes.
func (i *inspector) ask(ctx context.Context, q *query, within time.Duration) *answer {
	here := i.answerHere(q)
	all := &answer{Node: here.Node}
	all.merge(&here)
	if all.OK && q.Op == opRedeem {
		return all
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	answers, err := i.ns.ServerSideEmitWithAck(ctx, askEvent, q)
	all.Missing = err != nil
	for _, a := range answers {
		var there answer
		if err := a.Bind(&there); err != nil {
			i.failed("an answer of another node", err)
			all.Missing = true
			continue
		}
		all.merge(&there)
	}
	return all
}

// redeem uses up a pass that this or another node has given out.
func (i *inspector) redeem(ctx context.Context, text string) (administrator string, ok bool) {
	if len(text) == 0 || len(text) > 64 {
		return "", false
	}
	a := i.ask(ctx, &query{Op: opRedeem, Pass: hashPass(text)}, answerIn)
	return a.Administrator, a.OK && a.Administrator != ""
}

func (i *inspector) failed(what string, err error) {
	i.notices.Report(&failedNotice, what, "what", what, "error", notice.Text(err.Error()))
}
