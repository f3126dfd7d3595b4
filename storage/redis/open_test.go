package redis_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
)

const secret = "s3cr3t-w0rd"

// Open of an unreachable server neither panics nor hangs, and its error does not
// contain the password.
func TestOpenOfAnUnreachableServer(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := closed.Addr().String()
	_ = closed.Close()
	network := redistest.NewProxy(t, redistest.Start(t).Addr())
	network.Pause() // accepts connections but never replies
	silent := network.Addr()
	locked := redistest.Start(t, "--requirepass", "another")
	for name, url := range map[string]string{
		"down":             "redis://user:%s@" + down + "/0",
		"down, TLS":        "rediss://user:%s@" + down + "/0",
		"down, cluster":    "redis-cluster://user:%s@" + down + "," + down,
		"down, Sentinel":   "redis-sentinel://user:%s@" + down + "," + down + "/0?master=m",
		"silent":           "redis://user:%s@" + silent + "/0?connect_timeout=50ms&timeout=1h",
		"silent, TLS":      "rediss://user:%s@" + silent + "/0?connect_timeout=50ms&timeout=1h",
		"silent, cluster":  "redis-cluster://user:%s@" + silent + "?connect_timeout=50ms&timeout=1h",
		"silent, Sentinel": "redis-sentinel://user:%s@" + silent + "?master=m&connect_timeout=50ms",
		"wrong password":   "redis://:%s@" + locked.Addr() + "/0",
		"wrong user":       "redis://user:%s@" + locked.Addr() + "/0",
		"no password":      "redis://" + locked.Addr() + "/0",
		"no such database": "redis://:another@" + locked.Addr() + "/9999",
		"not a cluster":    "redis-cluster://:another@" + locked.Addr(),
		"no such host":     "redis://user:%s@host.invalid:6379/0",
		"sentinel secret":  "redis-sentinel://" + down + "?master=m&sentinel_password=%s",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(url, "%s") {
				url = fmt.Sprintf(url, secret)
			}
			s, err := storage.Open(url)
			if !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("error %v, want ErrUnavailable", err)
			}
			if s != nil {
				t.Error("Open returned both a storage and an error")
			}
			if text := fmt.Sprintf("%+v", err); strings.Contains(text, secret) {
				t.Errorf("error %q contains the password", text)
			}
		})
	}
}
