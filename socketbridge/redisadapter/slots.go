package redisadapter

import (
	"context"
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

var errClientType = errors.New("redisadapter: the sharded modes need a *redis.Client or a *redis.ClusterClient")

// maxRedirects is how many redirections of a Redis Cluster a command follows.
const maxRedirects = 5

// slotOwner returns the Redis node that has the slot of a key or sharded channel, as far
// as the client knows. A single Redis has all slots.
func slotOwner(ctx context.Context, client goredis.UniversalClient, key string) (*goredis.Client, error) {
	switch c := client.(type) {
	case *goredis.ClusterClient:
		return c.MasterForKey(ctx, key)
	case *goredis.Client:
		return c, nil
	default:
		return nil, errClientType
	}
}

// sendOnce sends a command to the Redis node that has the slot of a key and follows
// redirections. go-redis's cluster client does so too, but it also repeats a command whose
// reply was lost. Such a command may have been executed, and other nodes would receive the
// message twice.
func sendOnce(ctx context.Context, client goredis.UniversalClient, key string, command func(goredis.Cmdable) goredis.Cmder) error {
	cluster, ok := client.(*goredis.ClusterClient)
	if !ok {
		return sendToMaster(client, func() error { return command(client).Err() })
	}
	node, err := slotOwner(ctx, client, key)
	if err != nil {
		return notSentError{err}
	}
	for redirects, ask := 0, false; ; redirects++ {
		if ask {
			_, err = node.Pipelined(ctx, func(p goredis.Pipeliner) error {
				p.Do(ctx, "asking")
				return command(p).Err()
			})
		} else {
			err = command(node).Err()
		}
		var addr string
		var moved bool
		if addr, ask = goredis.IsAskError(err); !ask {
			addr, moved = goredis.IsMovedError(err)
		}
		switch {
		case err == nil || redirects == maxRedirects:
			return err
		case ask, moved: // the command was not executed
			if node = masterAt(ctx, cluster, addr); node == nil {
				return err
			}
		default:
			if reply := goredis.Error(nil); !errors.As(err, &reply) {
				cluster.ReloadState(ctx) // a replica may have been promoted
			}
			return err
		}
	}
}

// sendToMaster sends a command. After a failover behind one address, the idle connections
// of the pool lead to a server that is a replica now, and refuses to execute the command.
// go-redis then closes that connection only. So the command is sent again until it gets a
// new connection: once more than there are idle ones, at most.
func sendToMaster(client goredis.UniversalClient, send func() error) error {
	for attempts := client.PoolStats().IdleConns; ; attempts-- {
		err := send()
		if attempts == 0 || err == nil || !goredis.HasErrorPrefix(err, "READONLY") {
			return err
		}
	}
}

// masterAt reloads the cluster's state and returns the master at an address. The host of
// the address is empty if it is the host of the Redis node that sent the redirection.
func masterAt(ctx context.Context, cluster *goredis.ClusterClient, addr string) (found *goredis.Client) {
	masters := make(chan *goredis.Client, 1)
	_ = cluster.ForEachMaster(ctx, func(_ context.Context, node *goredis.Client) error {
		if nodeAddr := node.Options().Addr; nodeAddr == addr || strings.HasPrefix(addr, ":") && strings.HasSuffix(nodeAddr, addr) {
			select {
			case masters <- node:
			default: // another master has the same port
			}
		}
		return nil
	})
	select {
	case found = <-masters:
	default:
	}
	return found
}

// reloadSlots reloads the slot map of a Redis Cluster and waits for it.
func reloadSlots(ctx context.Context, client goredis.UniversalClient) {
	if cluster, ok := client.(*goredis.ClusterClient); ok {
		_ = masterAt(ctx, cluster, "") // go-redis reloads its state for ForEachMaster
	}
}
