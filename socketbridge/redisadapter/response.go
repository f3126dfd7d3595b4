package redisadapter

import (
	"context"
)

// handleMessage delivers a message of another node, or answers it on a goroutine of its
// own if it is a request.
func (a *Adapter) handleMessage(f *frame) {
	a.mu.Lock()
	node, ctx := a.node, a.ctx
	a.mu.Unlock()
	if node == nil || f.uid == node.ID() {
		return
	}
	if a.asEmitter() != nil { // it replies to no request
		node.Deliver(f.message)
		return
	}
	if f.requestID == "" || f.sid != "" {
		node.Deliver(f.message)
		if f.sid != "" && f.requestID != "" && a.localRooms.has(f.message.Namespace, f.sid) {
			a.respond(ctx, f, a.confirm)
		}
		return
	}
	a.respond(ctx, f, a.answer)
}

// respond runs do for a request of another node, unless Config.MaxAnswers requests are
// being answered already.
func (a *Adapter) respond(ctx context.Context, f *frame, do func(ctx context.Context, f *frame)) {
	select {
	case a.answerSlots <- struct{}{}:
	default:
		a.notices.Report(&unanswered, "", "limit", a.cfg.MaxAnswers)
		return
	}
	a.answering.Go(func() { // ends with ctx or after AnswerTimeout; Run waits for it
		defer func() { <-a.answerSlots }()
		ctx, cancel := context.WithTimeout(ctx, a.cfg.AnswerTimeout)
		defer cancel()
		do(ctx, f)
	})
}

// answer publishes this node's replies to a request.
func (a *Adapter) answer(ctx context.Context, f *frame) {
	a.mu.Lock()
	node := a.node
	a.mu.Unlock()
	a.link.catchUp(ctx, f)
	for r := range node.Answer(ctx, f.message) {
		channel, data, err := a.link.encodeReply(f, node.ID(), r)
		if err == nil {
			err = a.publish(ctx, f.message.Namespace, channel, data)
		}
		a.logReplyError(ctx, err)
	}
}

// confirm publishes the reply that older servers for Node expect after a request for one
// socket.
func (a *Adapter) confirm(ctx context.Context, f *frame) {
	if l, ok := a.link.(*classicLink); ok {
		channel, data := l.encodeConfirmation(f)
		a.logReplyError(ctx, a.publish(ctx, f.message.Namespace, channel, data))
	}
}

func (a *Adapter) logReplyError(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		a.notices.Report(&replyLost, "", "error", err)
	}
}
