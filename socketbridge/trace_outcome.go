package socketbridge

import (
	"context"
	"errors"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Outcome returns a word for the outcome of the operation, for labels of metrics and the like:
// "ok" without an error. docs/metrics.md lists all of them. They do not change, and no text of
// the app or of a client is among them. Errors that the server does not know are "error", or
// "refused" if a connect middleware returned one.
func (o *Operation) Outcome(err error) string {
	word := outcomeOf(err)
	if word == "error" && o.Kind == OpConnect {
		return "refused"
	}
	return word
}

// Outcome returns a word for the outcome of the emission, as Operation.Outcome does.
func (e *Emission) Outcome() string { return outcomeOf(e.Err) }

// outcomes are the words of errors. The first match counts: of an event whose handler failed
// and whose session was not saved, the failure of the storage is the outcome.
var outcomes = []struct {
	err  error
	word string
}{
	{errPanic, "panic"},
	{errDropped, "dropped"},

	{fibersession.ErrUnknownOutcome, CodeUnknownOutcome},
	{fibersession.ErrUnavailable, CodeSessionUnavailable},
	{fibersession.ErrTooLarge, CodeSessionTooLarge},
	{fibersession.ErrTooManyKeys, CodeSessionTooLarge},
	{fibersession.ErrTicket, CodeTicketInvalid},
	{ErrSessionMissing, CodeSessionMissing},
	{ErrRenewed, CodeSessionRenewed},
	{fibersession.ErrSessionGone, CodeSessionGone},

	{errResumeSession, CodeSessionGone},
	{errResumeState, "no_state"},
	{errResumeOffset, "bad_offset"},
	{errReplayTooLong, "too_long"},
	{errNotKept, "not_kept"},
	{adapter.ErrNotKept, "not_kept"},

	{ErrAckTimeout, "timeout"},
	{adapter.ErrIncomplete, "incomplete"},
	{ErrDisconnected, "disconnected"},
	{ErrShutdown, "closed"},
	{transport.ErrClosed, "disconnected"},
	{ErrBadAnswer, "bad_answer"},
	{ErrTooManyAcks, CodeTooMany},
	{ErrTooManyConns, CodeTooMany},
	{ErrTooManyRooms, CodeTooMany},
	{errTooManySockets, CodeTooMany},
	{transport.ErrQueueFull, "queue_full"},
	{adapter.ErrUnknownOutcome, CodeUnknownOutcome},
	{adapter.ErrUnavailable, "unavailable"},
	{adapter.ErrTooLarge, "too_large"},
	{adapter.ErrClosed, "closed"},
	{errNotNext, "refused"},
	{errProtocol, "malformed"},
}

// outcomeOf returns the word for err.
func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.word
		}
	}
	var bad *ArgumentError
	switch {
	case errors.As(err, &bad):
		return bad.Code()
	case errors.As(err, new(*EventError)), errors.As(err, new(*ConnectError)):
		return "refused"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	default:
		return "error"
	}
}
