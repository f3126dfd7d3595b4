package simulation

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/mutant"
)

// guards are mutants that the simulation must find: each takes one guard out.
var guards = []mutant.Mutant{
	{Name: "compare-and-swap checks the version", Edits: []mutant.Edit{{
		File: "fibersession/state_commit.go",
		Old:  "		next.rev, err = s.store.storage.CompareAndSwap(c.ctx, at.key, cur.rev, data, ttl)\n",
		New: "		stored, _ := s.store.storage.Load(c.ctx, at.key)\n" +
			"		next.rev, err = s.store.storage.CompareAndSwap(c.ctx, at.key, stored.Revision, data, ttl)\n",
	}}},
	{Name: "merge on conflict", Edits: []mutant.Edit{{
		File: "fibersession/state.go",
		Old:  "	next := &snapshot{meta: m, values: values, rev: item.Revision}\n	if cur == nil {",
		New:  "	if cur != nil {\n		values = cur.values\n	}\n	next := &snapshot{meta: m, values: values, rev: item.Revision}\n	if cur == nil {",
	}}},
	{Name: "an Update runs again if its values changed", Edits: []mutant.Edit{{
		File: "fibersession/state_commit.go", Old: "if o.tx != nil && s.isInvalidated(o.tx) {", New: "if false {",
	}}},
	{Name: "the old key leads to the new one", Edits: []mutant.Edit{{
		File: "fibersession/state_regenerate.go",
		Old:  "	note, noteTTL := c.noteOf(from, to, next, now)\n", New: "	note, noteTTL := c.noteOf(from, to, next, now)\n	note = nil\n",
	}}},
	{Name: "the old ID stops working", Edits: []mutant.Edit{{
		File: "fibersession/state_regenerate.go",
		Old:  "	var err error\n	if note == nil {\n", New: "	var err error\n	if note != nil {\n		return nil\n	}\n	if note == nil {\n",
	}}},
	{Name: "epoch check at dispatch", Edits: []mutant.Edit{
		{File: "socketbridge/packet_session.go", Old: "s.session.Epoch() == s.epoch.Load()", New: "true"},
	}},
	{Name: "lease of tracked reads", Edits: []mutant.Edit{{
		File: "fibersession/track_freshness.go", Old: "if !s.store.layout.carriesRevision() || !s.store.tracker.inTime() {", New: "if !s.store.layout.carriesRevision() {",
	}}},
	{Name: "re-read after a gap of the feed", Edits: []mutant.Edit{{
		File: "fibersession/track.go", Old: "		t.generation.Add(1)\n", New: "",
	}}},
	{Name: "answer after the save", Edits: []mutant.Edit{{
		File: "socketbridge/packet_ack.go", Old: "	if !saved {\n", New: "	if false {\n",
	}}},
	{Name: "no second creation", Edits: []mutant.Edit{{
		File: "fibersession/state_commit.go", Old: "case cur.fresh() && made != nil:", New: "case false:",
	}}},
	{Name: "absolute limit", Edits: []mutant.Edit{{
		File: "fibersession/layout.go", Old: "if !m.absolute.IsZero() && m.absolute.Before(m.expiry) {", New: "if false {",
	}}},
	{Name: "Destroy deletes the revision that it knows", Edits: []mutant.Edit{{
		File: "fibersession/state_commit.go",
		Old:  "		err := s.store.storage.CompareAndDelete(c.ctx, at.key, cur.rev)\n", New: "		err := s.store.storage.CompareAndDelete(c.ctx, at.key, storage.Any)\n",
	}}},
	{Name: "sockets end with their session", Edits: []mutant.Edit{{
		File: "socketbridge/socket_life.go", Old: "		s.sessionEnded(e.Cause)\n", New: "",
	}}},
	{Name: "a missing session has ended", Edits: []mutant.Edit{{
		File: "fibersession/state_commit.go", Old: "	default:\n		c.s.end(ErrDestroyed)\n", New: "	default:\n		c.s.publish(cur, nil)\n",
	}}},
	{Name: "calls queued in a forwarded state", Edits: []mutant.Edit{{
		File: "fibersession/state_commit.go", Old: "	if c.s.forward.Load() != nil { // the ops", New: "	if false { // the ops",
	}}},
}

var foundAt = regexp.MustCompile(`(?m)seed (\d+), operation \d+: .*$`)
var operations = regexp.MustCompile(`\d+ operations in [^ ]+`)

// TestM3_GuardsAreNeeded takes each guard out and runs the simulation, at most SIM_MUTANTS
// seconds (300 is the promise).
func TestM3_GuardsAreNeeded(t *testing.T) {
	limit := time.Duration(setting("SIM_MUTANTS", 0)) * time.Second
	if limit == 0 {
		t.Skip("takes some minutes: make simulation MUTANTS=300, or SIM_MUTANTS=300 (the seconds that each guard may take)")
	}
	only := os.Getenv("SIM_GUARD")
	for _, m := range guards {
		if only != "" && only != m.Name {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit+time.Minute)
			defer cancel()
			r, err := m.Test(ctx, "../..", []string{"SIM_OPS=100000000", "SIM_MUTANTS=0"}, "-run", "^TestM3_Simulation$", "-timeout", limit.String(), "./internal/simulation")
			switch {
			case err != nil:
				t.Fatal(err)
			case foundAt.MatchString(r.Output):
				found := foundAt.FindStringSubmatch(r.Output)
				t.Logf("found after %s: %s", operations.FindString(r.Output), found[0])
				seed, _ := strconv.ParseUint(found[1], 10, 64)
				if strings.Contains(found[0], "hangs") {
					return // the whole run of the tests fails with the guard if it hangs
				}
				if r := run(t, Config{Seed: seed, Ops: Generate(seed, opsPerSeed)}); r.Failure != "" {
					t.Errorf("the same seed fails with the guard: %s", r.Failure)
				}
			default:
				t.Errorf("not found in %v:\n%.2000s", r.Took.Round(time.Second), r.Output)
			}
		})
	}
}

// TestM3_GuardsMatchTheSource checks that each edit still takes its guard out.
func TestM3_GuardsMatchTheSource(t *testing.T) {
	t.Parallel()
	for _, m := range guards {
		if err := m.Check("../.."); err != nil {
			t.Error(err)
		}
	}
}
