package redisadapter

import "sync/atomic"

// Stats counts what an Adapter dropped since it was created.
type Stats struct {
	Malformed  uint64 // received messages that do not follow the wire format
	TooLarge   uint64 // received messages that were larger than Config.MaxMessage
	Unanswered uint64 // requests of other nodes beyond Config.MaxAnswers
}

// dropped holds the counters of Stats.
type dropped struct{ malformed, tooLarge, unanswered atomic.Uint64 }

// Stats returns what this adapter dropped. Each kind is also logged, at most once a minute.
func (a *Adapter) Stats() Stats {
	return Stats{Malformed: a.dropped.malformed.Load(), TooLarge: a.dropped.tooLarge.Load(), Unanswered: a.dropped.unanswered.Load()}
}

// warn logs a message at most once a minute.
func (a *Adapter) warn(msg string, args ...any) {
	if _, ok := a.warnings.Allow(msg); ok {
		a.cfg.Logger.Warn(msg, args...)
	}
}

func (a *Adapter) logTooLarge(size int) {
	n := a.dropped.tooLarge.Add(1)
	a.warn("redisadapter: dropped a message that is larger than Config.MaxMessage", "bytes", size, "limit", a.cfg.MaxMessage, "total", n)
}

func (a *Adapter) logMalformed(err error) {
	n := a.dropped.malformed.Add(1)
	a.warn("redisadapter: dropped a malformed message; something else writes to the channels or the stream of Config.Key, or a node has another Config.Mode", "error", err, "total", n)
}

func (a *Adapter) logUnanswered() {
	n := a.dropped.unanswered.Add(1)
	a.warn("redisadapter: did not answer a request of another node: Config.MaxAnswers requests are being answered already", "limit", a.cfg.MaxAnswers, "total", n)
}

// logRefused logs that Redis refused a subscription. The adapter tries again.
func (a *Adapter) logRefused(err error) {
	a.warn("redisadapter: Redis refuses to subscribe this node; it receives no messages or no requests of other nodes (does its user have permission for the channels of Config.Key?)", "error", err)
}
