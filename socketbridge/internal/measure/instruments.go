package measure

import (
	"slices"
	"strings"
)

// Kind is the kind of an Instrument.
type Kind uint8

// The kinds of instruments.
const (
	Counter   Kind = iota + 1 // only grows
	Gauge                     // a number of the moment
	Histogram                 // a distribution
)

// Instrument is one metric.
type Instrument struct {
	// Name is the name with dots, as OpenTelemetry has it. It has no unit and no "total".
	Name string
	// Unit is in UCUM's form: "s", "By", or "{things}" for a plain number.
	Unit string
	Kind Kind
	// Help is one sentence.
	Help string
	// Labels are the names of the labels, in the order of their values.
	Labels []string
	// Buckets are the upper bounds of a histogram without native buckets.
	Buckets []float64
}

// Prometheus returns the name for Prometheus. It is the one that OpenTelemetry's rules for
// Prometheus make of Name, Unit and Kind.
func (i *Instrument) Prometheus() string {
	name := strings.ReplaceAll(i.Name, ".", "_")
	switch i.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if i.Kind == Counter {
		name += "_total"
	}
	return name
}

var (
	short = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10} // of what a server does
	long  = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}             // of what waits for a client
)

// Instruments with values of the hooks. Their outcomes are the words of Operation.Outcome of
// packages socketbridge and fibersession.
var (
	EventDuration = &Instrument{
		Name: "fiberbridge.event.duration", Unit: "s", Kind: Histogram, Labels: []string{"event", "outcome"}, Buckets: short,
		Help: "Time to handle an event, from the loading of its session to its acknowledgement.",
	}
	EventWait = &Instrument{
		Name: "fiberbridge.event.wait", Unit: "s", Kind: Histogram, Buckets: short,
		Help: "Time that an event waited before it was handled.",
	}
	ConnectDuration = &Instrument{
		Name: "fiberbridge.connect.duration", Unit: "s", Kind: Histogram, Labels: []string{"outcome"}, Buckets: short,
		Help: "Time to connect a client to a namespace, or to refuse it.",
	}
	AckDuration = &Instrument{
		Name: "fiberbridge.ack.duration", Unit: "s", Kind: Histogram, Labels: []string{"target", "outcome"}, Buckets: long,
		Help: "Time from an event that requests an acknowledgement to the answer or answers.",
	}
	RecoveryDuration = &Instrument{
		Name: "fiberbridge.recovery.duration", Unit: "s", Kind: Histogram, Labels: []string{"outcome"}, Buckets: short,
		Help: "Time to give a client that reconnects its socket back, or to decide that it gets a new one.",
	}
	AdapterDuration = &Instrument{
		Name: "fiberbridge.adapter.duration", Unit: "s", Kind: Histogram, Labels: []string{"operation", "message", "outcome"}, Buckets: short,
		Help: "Time to send a message to other nodes (publish), to collect their replies (request), or to handle a message of another node (deliver).",
	}
	SessionDuration = &Instrument{
		Name: "fiberbridge.session.duration", Unit: "s", Kind: Histogram, Labels: []string{"operation", "outcome"}, Buckets: short,
		Help: "Time to read or write a session, with its retries.",
	}
	Emits = &Instrument{
		Name: "fiberbridge.emits", Unit: "{event}", Kind: Counter, Labels: []string{"target", "outcome"},
		Help: "Events emitted on this node: to one socket, or as a broadcast, which counts once.",
	}
	Disconnects = &Instrument{
		Name: "fiberbridge.disconnects", Unit: "{socket}", Kind: Counter, Labels: []string{"reason"},
		Help: "Sockets that were disconnected.",
	}
	SessionChanges = &Instrument{
		Name: "fiberbridge.session.changes", Unit: "{socket}", Kind: Counter, Labels: []string{"change"},
		Help: "Sockets that were told that their session has changed, has a new ID or has ended.",
	}
)

// Instruments with values of Server.Stats.
var (
	Connections = gauge("connections", "{connection}", "Open connections by transport, with those that are opening or closing.", "transport")
	Sockets     = gauge("sockets", "{socket}", "Connected sockets of all namespaces.")
	Rooms       = gauge("rooms", "{room}", "Rooms, with those of the sockets' own IDs, their sessions and their users.")
	Sessions    = gauge("sessions", "{session}", "Sessions with connections.")
	Users       = gauge("users", "{user}", "Users with sockets, or not yet reported offline.")
	Recoverable = gauge("recoverable_sockets", "{socket}", "Disconnected sockets that this node keeps for recovery.")
	Children    = gauge("dynamic_namespaces", "{namespace}", "Namespaces that patterns made.")
	Backlog     = gauge("backlog", "By", "Queued messages and event data that wait to be sent to clients.")
	Requests    = gauge("polling_requests", "{request}", "Polling requests in progress: polls that wait, and posts that are handled.", "method")
	BodyBytes   = gauge("request_body", "By", "Large request bodies that are being read or handled.")
	Addresses   = gauge("limited_addresses", "{address}", "Client addresses that are counted for the limits of connections.")
	Waits       = counter("sender.waits", "{wait}", "Times that a sender had to wait for a client that is behind.")
	SlowClosed  = counter("slow_connections_closed", "{connection}", "Connections that were closed because the client read too slowly.")
	Notices     = counter("notices", "{notice}", "Refusals, drops, closed connections and failures, by the names in docs/troubleshooting.md.", "part", "notice")
)

// Instruments with values of Store.Stats.
var (
	StoreSessions  = gauge("store.sessions", "{session}", "Sessions in use by a request or handle of this node.")
	StoreHandles   = gauge("store.handles", "{handle}", "Handles that were not released.")
	StoreTimers    = gauge("store.expiry_timers", "{timer}", "Watched sessions with an expiry timer.")
	StoreTracked   = gauge("store.tracked_sessions", "{session}", "Sessions whose changes by other nodes are followed.")
	StoreReads     = counter("store.reads", "{read}", "Values read from the storage.")
	StoreDecodes   = counter("store.decodes", "{value}", "Values decoded because their revision was new to this node.")
	StoreWrites    = counter("store.writes", "{write}", "Values written to the storage.")
	StoreTouches   = counter("store.touches", "{write}", "Writes that only extended an idle limit.")
	StoreConflicts = counter("store.conflicts", "{write}", "Writes refused because of a newer revision, then merged and retried.")
	StoreReruns    = counter("store.reruns", "{run}", "Repeated runs of an Update's function.")
	StoreFailures  = counter("store.failures", "{call}", "Failed calls of the storage.")
	StoreHeard     = counter("store.notifications", "{notification}", "Changes by other nodes that arrived through the storage's feed.")
	StoreGaps      = counter("store.gaps", "{gap}", "Gaps in the feed, after which changes may have been missed.")
	StoreRereads   = counter("store.rereads", "{read}", "Reads of sessions that the feed could not keep up to date.")
	StoreSkipped   = counter("store.skipped_reads", "{read}", "Reads avoided because the feed keeps the session up to date.")
	StoreStale     = counter("store.stale_reads", "{read}", "Failed reads that were answered with the last known copy.")
)

func gauge(name, unit, help string, labels ...string) *Instrument {
	return &Instrument{Name: "fiberbridge." + name, Unit: unit, Kind: Gauge, Help: help, Labels: labels}
}

func counter(name, unit, help string, labels ...string) *Instrument {
	return &Instrument{Name: "fiberbridge." + name, Unit: unit, Kind: Counter, Help: help, Labels: labels}
}

// Recorded returns the instruments that Observe records to: those of a server, of a store, or of
// both.
func Recorded(server, store bool) (all []*Instrument) {
	if server {
		all = append(all, EventDuration, EventWait, ConnectDuration, AckDuration, RecoveryDuration, AdapterDuration, Emits, Disconnects, SessionChanges)
	}
	if store {
		all = append(all, SessionDuration)
	}
	return all
}

// Readable returns the instruments whose values Read returns: those of a server, of a store, or
// of both.
func Readable(server, store bool) (all []*Instrument) {
	if server {
		all = append(all, Connections, Sockets, Rooms, Sessions, Users, Recoverable, Children, Backlog, Requests, BodyBytes, Addresses, Waits, SlowClosed)
	}
	if store {
		all = append(all, StoreSessions, StoreHandles, StoreTimers, StoreTracked, StoreReads, StoreDecodes, StoreWrites, StoreTouches,
			StoreConflicts, StoreReruns, StoreFailures, StoreHeard, StoreGaps, StoreRereads, StoreSkipped, StoreStale)
	}
	return append(all, Notices)
}

// All returns all instruments.
func All() []*Instrument { return slices.Concat(Recorded(true, true), Readable(true, true)) }
