package inspector

import (
	"cmp"
	"os"
	"runtime/metrics"
	"slices"
	"time"
)

// started is when this process began, closely enough for a page.
var started = time.Now()

// summary is what a node tells each second while a page is open.
type summary struct {
	ID      string `json:"id"`
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Started int64  `json:"started"` // milliseconds since 1970
	Now     int64  `json:"now"`

	Connections int `json:"connections"`
	Sockets     int `json:"sockets"`
	Sessions    int `json:"sessions"`
	Users       int `json:"users"`

	Memory     uint64 `json:"memory"` // bytes of the process, from the system
	Heap       uint64 `json:"heap"`   // bytes of objects
	Goroutines uint64 `json:"goroutines"`

	// Since the inspector was mounted.
	Events   uint64   `json:"events"`
	Errors   uint64   `json:"errors"`
	Sent     uint64   `json:"sent"`
	Saves    uint64   `json:"saves"`
	Refused  uint64   `json:"refused"`
	Answered []uint64 `json:"answered"` // see histogram
	Stored   []uint64 `json:"stored"`

	Problems []problem `json:"problems"` // the latest first
}

// summarise returns the summary of this node, which the history is made of too.
func (i *inspector) summarise() *summary {
	own := i.emitted.Load() // before Stats, so that it is never the larger one
	st := i.io.Stats()
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	mine := len(i.ns.Sockets())
	s := &summary{
		ID: i.io.ID(), Host: i.host, PID: os.Getpid(), Started: started.UnixMilli(), Now: time.Now().UnixMilli(),
		Connections: st.Connections, Sockets: st.Sockets - mine, Sessions: st.Sessions, Users: st.Users,
		Memory: sample[0].Value.Uint64() - sample[3].Value.Uint64(), Heap: sample[1].Value.Uint64(), Goroutines: sample[2].Value.Uint64(),
		Events: i.counts.answered.seen.Load(), Errors: i.counts.errors.Load(), Sent: st.Emitted - own, Saves: i.counts.saves.Load(),
		Answered: i.counts.answered.read(), Stored: i.counts.stored.read(),
	}
	counts := []map[string]uint64{st.Notices, st.Engine.Notices}
	if i.sessions != nil {
		counts = append(counts, i.sessions.Stats().Notices)
	}
	s.Problems = i.problems.list()
	seen := make(map[string]bool, len(s.Problems))
	for _, p := range s.Problems {
		seen[p.Name] = true
		s.Refused += p.Count
	}
	for _, some := range counts { // of an adapter, and from before the inspector was mounted
		for name, n := range some {
			if a, listed := advice[name]; !seen[name] && listed && a.Level != "debug" {
				s.Problems = append(s.Problems, problem{Name: name, Level: a.Level, Count: n})
				s.Refused += n
			}
		}
	}
	slices.SortFunc(s.Problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(a.Name, b.Name))
	})
	return s
}
