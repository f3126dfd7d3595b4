package redisadapter_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter/adaptertest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

func anys(texts []string) (all []any) {
	for _, text := range texts {
		all = append(all, text)
	}
	return all
}

// startWithUsers starts a Redis on which the apps "shop" and "blog" have one ACL user each. The
// default user is an administrator.
func startWithUsers(t *testing.T) (server *redistest.Server, client func(app string) *goredis.Client) {
	t.Helper()
	server = redistest.Start(t)
	admin := newClient(t, server.Addr())
	for _, app := range []string{"shop", "blog"} {
		if err := admin.Do(t.Context(), anys(redistest.LeastRights(t, app))...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return server, func(app string) *goredis.Client {
		c := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Username: app, Password: "pw-" + app, MaxRetries: -1, Protocol: 2, DisableIdentity: true})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// Row 45: the rights in docs/scaling.md are sufficient for the adapter in every mode, with secrets.
// TestSuiteWithTheLeastRights of storage/redis shows it for the storage.
func TestRights_AreSufficient(t *testing.T) {
	t.Parallel()
	_, client := startWithUsers(t)
	for name, mode := range allModes() {
		cluster := func(t *testing.T) func() adapter.Adapter {
			c := client("shop")
			cfg := signedConfig(mode, 1)
			cfg.Key, cfg.SessionKey = "shop:socket.io", "shop:sio:session:"
			return func() adapter.Adapter { return newAdapter(c, cfg) }
		}
		t.Run(name, func(t *testing.T) { // one after the other, since they have the same key
			a, b := cluster(t), cluster(t)
			from, to := startWith(t, a()), startWith(t, b())
			waitForDelivery(t, from, to)
			waitForDelivery(t, to, from)
			if mode == redisadapter.Streams {
				adaptertest.RunLog(t, func(t *testing.T) func() adapter.Adapter {
					c, cfg := client("shop"), signedConfig(mode, 1)
					cfg.Key, cfg.SessionKey = "shop:"+t.Name(), "shop:sio:session:"
					return func() adapter.Adapter { return newAdapter(c, cfg) }
				})
			}
			for _, n := range []*testNode{from, to} {
				if c := noticesOf(n); c["subscription_refused"]+c["stream_unreadable"]+c["clock_unread"] != 0 {
					t.Errorf("notices: %v", c)
				}
			}
		})
	}
}

// Row 45: the same on a Redis Cluster, with the rights that docs/scaling.md adds for it.
func TestRights_AreSufficientOnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	rules := append(redistest.LeastRights(t, "shop"), "+readonly", "+asking", "+cluster|slots")
	for _, addr := range cluster.Addrs() {
		if err := newClient(t, addr).Do(t.Context(), anys(rules)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: cluster.Addrs(), Username: "shop", Password: "pw-shop", MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	for name, mode := range map[string]redisadapter.Mode{"classic": redisadapter.Classic, "sharded": redisadapter.Sharded, "streams sharded": redisadapter.StreamsSharded} {
		t.Run(name, func(t *testing.T) {
			cfg := signedConfig(mode, 1)
			cfg.Key = "shop:socket.io"
			a, b := startNode(t, client, cfg), startNode(t, client, cfg)
			waitForDelivery(t, a, b)
			waitForDelivery(t, b, a)
		})
	}
	store := storage.MustOpen("redis-cluster://shop:pw-shop@" + cluster.Addrs()[0] + "?prefix=shop:")
	t.Cleanup(func() { _ = store.Close() })
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} { // on several masters
		if err := store.Set(key, []byte("v"), time.Minute); err != nil {
			t.Errorf("Set: %v", err)
		}
		if v, err := store.Get(key); string(v) != "v" || err != nil {
			t.Errorf("Get: %q, %v", v, err)
		}
	}
}

// Row 45: of two apps on one Redis, neither can publish to the other, listen to it, read or write
// its keys, list its names, or stop the server.
func TestRights_KeepAppsApart(t *testing.T) {
	t.Parallel()
	server, client := startWithUsers(t)
	ctx, blog := t.Context(), client("blog")
	if err := newClient(t, server.Addr()).Set(ctx, "shop:session", "secret", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]any{
		"publish a broadcast":             {"publish", "shop:socket.io#/#", "x"},
		"publish a request":               {"publish", "shop:socket.io-request#/#", "x"},
		"publish to a sharded channel":    {"spublish", "shop:socket.io#/#", "x"},
		"publish a change of a session":   {"publish", "shop:session:changes", "D"},
		"add to the stream":               {"xadd", "shop:socket.io", "*", "uid", "x"},
		"read the stream":                 {"xrange", "shop:socket.io", "-", "+"},
		"trim the stream":                 {"xtrim", "shop:socket.io", "maxlen", "0"},
		"read a session":                  {"get", "shop:session"},
		"write a session":                 {"set", "shop:session", "x"},
		"remove a session":                {"del", "shop:session"},
		"by a script":                     {"eval", "return redis.call('GET', 'shop:session')", "0"},
		"publish by a script":             {"eval", "return redis.call('PUBLISH', 'shop:x', 'x')", "0"},
		"with an undeclared key":          {"eval", "return redis.call('GET', KEYS[1])", "1", "shop:session"},
		"list channels":                   {"pubsub", "channels"},
		"list sharded channels":           {"pubsub", "shardchannels"},
		"list keys":                       {"keys", "*"},
		"a random key":                    {"randomkey"},
		"flush everything":                {"flushall"},
		"flush the database":              {"flushdb"},
		"flush scripts":                   {"script", "flush"},
		"flush functions":                 {"function", "flush"},
		"watch all commands":              {"monitor"},
		"read the configuration":          {"config", "get", "*"},
		"change its own rights":           {"acl", "setuser", "blog", "+@all"},
		"stop the server":                 {"shutdown", "nosave"},
		"copy a key":                      {"copy", "shop:session", "blog:session"},
		"rename a key":                    {"rename", "shop:session", "blog:session"},
		"subscribe to everything":         {"psubscribe", "*"},
		"subscribe to the other's":        {"subscribe", "shop:socket.io#/#"},
		"subscribe to the other's shards": {"ssubscribe", "shop:socket.io#/#"},
		"subscribe to a pattern of all":   {"psubscribe", "shop:*"},
	} {
		err := blog.Do(ctx, command...).Err()
		if reply := goredis.Error(nil); !errors.As(err, &reply) || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "The user executing the script can't") {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	if v := newClient(t, server.Addr()).Get(ctx, "shop:session").Val(); v != "secret" {
		t.Errorf("the session of the other app is %q now", v)
	}

	// Both run side by side. What the one sends does not arrive at the other.
	nodes := make(map[string][2]*testNode)
	for _, app := range []string{"shop", "blog"} {
		store := storage.MustOpen(strings.Replace(server.URL(), "redis://", "redis://"+app+":pw-"+app+"@", 1) + "?prefix=" + app + ":")
		t.Cleanup(func() { _ = store.Close() })
		nodes[app] = [2]*testNode{startWith(t, redisadapter.For(store, quietConfig(redisadapter.Classic))), startWith(t, redisadapter.For(store, quietConfig(redisadapter.Classic)))}
	}
	for app, n := range nodes {
		waitForDelivery(t, n[0], n[1])
		if err := n[0].Publish(ctx, &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["` + app + `"]`)}}); err != nil {
			t.Fatal(err)
		}
		waitForDeliveryAmong(t, n[0], n[1])
	}
	for app, n := range nodes {
		if got := strings.Join(drain(n[1]), " "); got != `["`+app+`"]` {
			t.Errorf("%s: delivered %s, want its own broadcast only", app, got)
		}
	}
}
