package redistest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Failover is a master, its replica, and a Sentinel that promotes the replica when
// the master fails.
type Failover struct {
	Master, Replica, Sentinel *Server
}

// StartFailover starts a Failover as Start starts a server. The Sentinel promotes
// the replica when the master has not answered for 200 ms.
func StartFailover(t testing.TB) *Failover {
	t.Helper()
	f := &Failover{Master: Start(t)}
	host, port, _ := net.SplitHostPort(f.Master.Addr())
	f.Replica = Start(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := "sentinel monitor m " + host + " " + port + " 1\n" +
		"sentinel down-after-milliseconds m 200\n" +
		"sentinel failover-timeout m 2000\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Sentinel = StartSentinel(t, conf)
	f.Sentinel.WaitFor("the Sentinel finds the replica", func(reply string) bool {
		return strings.Contains(reply, "master-link-status\nok")
	}, "sentinel", "replicas", "m")
	return f
}

// URL returns the URL for storage.Open.
func (f *Failover) URL() string { return "redis-sentinel://" + f.Sentinel.Addr() + "/0?master=m" }

// WaitForReplication waits until the replica has every write that the master has
// executed before the call: replication keeps the order of writes.
func (f *Failover) WaitForReplication() {
	f.Master.t.Helper()
	const mark = "redistest:mark"
	f.Master.Do("incr", mark)
	f.Replica.WaitFor("the replica has the master's last write", func(reply string) bool { return reply == "1" }, "get", mark)
	f.Master.Do("del", mark)
}
