package socketbridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// N9: each outcome has its word, and what the app or a client chose is in none.
func TestN9_OutcomeWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "ok"},
		{errPanic, "panic"},
		{errDropped, "dropped"},
		{&EventError{Code: "of the app"}, "refused"},
		{&ConnectError{Message: "of the app"}, "refused"},
		{errTooManySockets, "too_many"},
		{&ArgumentError{Err: ErrMissingArg}, "bad_arguments"},
		{&ArgumentError{Path: "/0"}, "invalid_argument"},
		{fmt.Errorf("later: %w", fibersession.ErrExpired), "session_gone"},
		{fibersession.ErrUnavailable, "session_unavailable"},
		{fibersession.ErrUnknownOutcome, "unknown_outcome"},
		{fibersession.ErrTooManyKeys, "session_too_large"},
		{fibersession.ErrTicketUsed, "ticket_invalid"},
		{errors.Join(&EventError{Code: "x"}, fibersession.ErrUnavailable), "session_unavailable"},
		{errors.Join(fibersession.ErrUnavailable, errPanic), "panic"},
		{errResumeSession, "session_gone"},
		{errResumeState, "no_state"},
		{errResumeOffset, "bad_offset"},
		{errReplayTooLong, "too_long"},
		{errNotKept, "not_kept"},
		{fmt.Errorf("%w: %w", ErrAckTimeout, context.DeadlineExceeded), "timeout"},
		{ErrDisconnected, "disconnected"},
		{ErrBadAnswer, "bad_answer"},
		{ErrTooManyAcks, "too_many"},
		{transport.ErrQueueFull, "queue_full"},
		{fmt.Errorf("%w: %w", adapter.ErrIncomplete, context.DeadlineExceeded), "incomplete"},
		{adapter.ErrUnavailable, "unavailable"},
		{adapter.ErrUnknownOutcome, "unknown_outcome"},
		{adapter.ErrClosed, "closed"},
		{fmt.Errorf("%w: kind 99", errProtocol), "malformed"},
		{context.DeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
		{io.ErrUnexpectedEOF, "error"},
	} {
		if got := (&Operation{Kind: OpHandle}).Outcome(tt.err); got != tt.want {
			t.Errorf("the outcome of %v is %q, want %q", tt.err, got, tt.want)
		}
	}
	if got := (&Operation{Kind: OpConnect}).Outcome(errors.New("not on the list")); got != "refused" {
		t.Errorf("an error of a connect middleware is %q, want refused", got)
	}
	if got := (&Emission{Err: ErrDisconnected}).Outcome(); got != "disconnected" {
		t.Errorf("an emission to a socket that has left is %q, want disconnected", got)
	}
}

// N9: docs/metrics.md lists each word.
func TestN9_OutcomeWordsAreListed(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"ok", "error", "refused", "canceled", CodeBadArguments, CodeInvalidArgument}
	for _, o := range outcomes {
		words = append(words, o.word)
	}
	for _, word := range words {
		if !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("docs/metrics.md does not have the outcome %s", word)
		}
	}
}
