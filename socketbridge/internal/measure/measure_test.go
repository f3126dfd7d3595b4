package measure_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/measure"
)

// N9: the names of instruments follow the rules of both systems.
func TestN9_InstrumentNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, i := range measure.All() {
		if !regexp.MustCompile(`^fiberbridge(\.[a-z]+(_[a-z]+)*)+$`).MatchString(i.Name) {
			t.Errorf("name %q", i.Name)
		}
		if i.Help == "" || i.Unit == "" || i.Kind == 0 {
			t.Errorf("%s lacks a help text, a unit or a kind", i.Name)
		}
		if (i.Kind == measure.Histogram) != (len(i.Buckets) > 0) || !slices.IsSorted(i.Buckets) {
			t.Errorf("%s has the buckets %v", i.Name, i.Buckets)
		}
		if seen[i.Prometheus()] {
			t.Errorf("%s is used twice", i.Prometheus())
		}
		seen[i.Prometheus()] = true
	}
	for name, i := range map[string]*measure.Instrument{
		"fiberbridge_event_duration_seconds": measure.EventDuration,
		"fiberbridge_backlog_bytes":          measure.Backlog,
		"fiberbridge_notices_total":          measure.Notices,
		"fiberbridge_sockets":                measure.Sockets,
	} {
		if got := i.Prometheus(); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
}

// N9: words that others can make up become one value.
func TestN9_WordsAreBounded(t *testing.T) {
	t.Parallel()
	for reason, want := range map[socketbridge.Reason]string{
		socketbridge.ClientDisconnect: "client_namespace_disconnect",
		"transport close":             "transport_close",
		"my own reason":               measure.Other,
		"":                            measure.Other,
	} {
		if got := measure.ReasonWord(reason); got != want {
			t.Errorf("ReasonWord(%q) = %q, want %q", reason, got, want)
		}
	}
	words := map[string]bool{}
	for kind := adapter.Broadcast; kind <= adapter.ServerSide; kind++ {
		words[measure.MessageWord(&adapter.Message{Kind: kind})] = true
	}
	if len(words) != 7 || words[measure.Other] {
		t.Errorf("kinds of messages have the words %v, want 7", words)
	}
	if got := measure.MessageWord(&adapter.Message{Kind: 99}); got != measure.Other {
		t.Errorf("an unknown kind has the word %q", got)
	}
}
