package redis

import (
	"crypto/tls"
	"reflect"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Each kind of client gets every setting that applies to it.
func TestClientOptions(t *testing.T) {
	t.Parallel()
	secure := &tls.Config{MinVersion: tls.VersionTLS13}
	options := clientOptions(Config{
		Addrs: []string{"a:1", "b:2"}, Master: "m",
		Username: "u", Password: "p", SentinelUsername: "su", SentinelPassword: "sp",
		Database: 3, TLSConfig: secure, Timeout: time.Minute, ConnectTimeout: time.Second, PoolSize: 7, ClientName: "me",
	})
	disabled := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	for name, tt := range map[string]struct{ got, want any }{
		"single": {options.Simple(), &goredis.Options{
			Addr: "a:1", ClientName: "me", Protocol: 2, Username: "u", Password: "p", DB: 3, MaxRetries: -1,
			DialTimeout: time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, ContextTimeoutEnabled: true,
			PoolSize: 7, TLSConfig: secure, DisableIdentity: true, MaintNotificationsConfig: disabled,
		}},
		"Sentinel": {options.Failover(), &goredis.FailoverOptions{
			MasterName: "m", SentinelAddrs: []string{"a:1", "b:2"}, SentinelUsername: "su", SentinelPassword: "sp",
			ClientName: "me", Protocol: 2, Username: "u", Password: "p", DB: 3, MaxRetries: -1,
			DialTimeout: time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, ContextTimeoutEnabled: true,
			PoolSize: 7, TLSConfig: secure, DisableIdentity: true,
		}},
		"Cluster": {options.Cluster(), &goredis.ClusterOptions{
			Addrs: []string{"a:1", "b:2"}, ClientName: "me", Protocol: 2, Username: "u", Password: "p", MaxRetries: -1,
			DialTimeout: time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, ContextTimeoutEnabled: true,
			PoolSize: 7, TLSConfig: secure, DisableIdentity: true, MaintNotificationsConfig: disabled,
		}},
	} {
		if !reflect.DeepEqual(tt.got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, tt.got, tt.want)
		}
	}
}
