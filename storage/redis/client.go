package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// newClient returns the client for cfg, which has its defaults. Each server that the
// client connects to gets a hook from hook.
func newClient(cfg Config, hook func(addr string) *server) goredis.UniversalClient {
	options := clientOptions(cfg)
	switch {
	case cfg.Cluster:
		client := goredis.NewClusterClient(options.Cluster())
		client.OnNewNode(func(node *goredis.Client) { node.AddHook(hook(node.Options().Addr)) })
		return client
	case cfg.Master != "":
		client := goredis.NewFailoverClient(options.Failover())
		client.AddHook(hook("the master " + cfg.Master))
		return client
	default:
		client := goredis.NewClient(options.Simple())
		client.AddHook(hook(cfg.Addrs[0]))
		return client
	}
}

// clientOptions returns the options of a client that never retries a command: if the
// reply to a swap were lost, a second attempt would find the value of the first and
// report a conflict.
func clientOptions(cfg Config) *goredis.UniversalOptions {
	return &goredis.UniversalOptions{
		Addrs:                    cfg.Addrs,
		MasterName:               cfg.Master,
		SentinelUsername:         cfg.SentinelUsername,
		SentinelPassword:         cfg.SentinelPassword,
		ClientName:               cfg.ClientName,
		Protocol:                 2,
		Username:                 cfg.Username,
		Password:                 cfg.Password,
		DB:                       cfg.Database,
		MaxRetries:               -1,
		DialTimeout:              min(cfg.Timeout, cfg.ConnectTimeout),
		ReadTimeout:              cfg.Timeout,
		WriteTimeout:             cfg.Timeout,
		ContextTimeoutEnabled:    true,
		PoolSize:                 cfg.PoolSize,
		TLSConfig:                cfg.TLSConfig,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// ping verifies that one node of the Redis answers.
func ping(ctx context.Context, client goredis.UniversalClient) error {
	err := client.Ping(ctx).Err()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}
