package redis

import (
	"errors"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// reply is an error reply of a server.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestRefusalKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]refusal{
		"READONLY You can't write against a read only replica.":                                                         refusedAsReplica,
		"READONLY You can't write against a read only replica. script: 5f, on @user_script:9.":                          refusedAsReplica,
		"ERR Error running script (call to f_5f): @user_script:9: @user_script: 9: -READONLY You can't write against a": refusedAsReplica,
		"ERR READONLY You can't write against a read only replica.":                                                     refusedAsReplica,
		"LOADING Redis is loading the dataset in memory":                                                                refusedForNow,
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                              refusedForNow,
		"NOREPLICAS Not enough good replicas to write.":                                                                 refusedForNow,
		"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)":                  refusedForNow,
		"UNBLOCKED client unblocked via CLIENT UNBLOCK":                                                                 notRefused,
		"OOM command not allowed when used memory > 'maxmemory'.":                                                       notRefused,
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.":              notRefused,
		"MOVED 3999 127.0.0.1:6381":                     notRefused,
		"CLUSTERDOWN The cluster is down":               notRefused,
		"NOSCRIPT No matching script.":                  notRefused,
		"ERR unknown command 'READONLY '":               notRefused,
		"WRONGTYPE Operation against a key":             notRefused,
		"NOPERM User x has no permissions to run 'get'": notRefused,
	} {
		if got := refusalKind(fmt.Errorf("wrapped: %w", reply(text))); got != want {
			t.Errorf("refusalKind(%q) = %d, want %d", text, got, want)
		}
	}
	for _, err := range []error{nil, goredis.Nil, errors.New("READONLY"), errBatcherClosed} {
		if got := refusalKind(err); got != notRefused {
			t.Errorf("refusalKind(%v) = %d, want notRefused", err, got)
		}
	}
}

// Renewals are few, however often the server changes its mind.
func TestRenewalsAreBounded(t *testing.T) {
	t.Parallel()
	var group timers
	defer group.close()
	renewals := 0
	sv := newServer("a:1", time.Hour, &group, func(string, error) { renewals++ })
	for range 100 {
		sv.observe(sv.generation.Load(), reply("READONLY"))
		sv.wrote(sv.generation.Load())
	}
	if renewals != renewalBurst {
		t.Errorf("%d renewals, want %d", renewals, renewalBurst)
	}
	if !sv.due || sv.refusing {
		t.Errorf("due = %t, refusing = %t, want a renewal to be due after the last write", sv.due, sv.refusing)
	}
	sv.renewals.at = sv.renewals.at.Add(-renewalInterval) // as if time had passed
	sv.wrote(sv.generation.Load())
	if renewals != renewalBurst+1 || sv.attention.Load() {
		t.Errorf("%d renewals after a pause, want the one that was due", renewals)
	}
}

// The replies to requests that were sent before the connections were retired say nothing
// about the new ones.
func TestEarlierRequestsDoNotCount(t *testing.T) {
	t.Parallel()
	var group timers
	defer group.close()
	renewals := 0
	sv := newServer("a:1", time.Hour, &group, func(string, error) { renewals++ })
	before := sv.generation.Load()
	for range 10 {
		sv.observe(before, reply("READONLY"))
	}
	if err := sv.paused(); err != nil || renewals != 1 || sv.generation.Load() != before+1 {
		t.Errorf("after 10 refusals of one generation: paused = %v, %d renewals, generation %d, want nil, 1, %d", err, renewals, sv.generation.Load(), before+1)
	}
	sv.wrote(before)
	if !sv.refusing {
		t.Error("a write on an old connection ended the refusal")
	}
	sv.observe(sv.generation.Load(), reply("READONLY"))
	if err := sv.paused(); err == nil {
		t.Error("writes are not paused after a refusal on a new connection")
	}
}

func TestTimers(t *testing.T) {
	t.Parallel()
	var group timers
	ran := make(chan struct{})
	group.after(0, func() { close(ran) })
	<-ran
	group.after(time.Hour, func() { t.Error("a timer ran after close") })
	group.close()
	group.after(0, func() { t.Error("a timer began after close") })
	group.close()
}
