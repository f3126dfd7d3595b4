package redisadapter

import (
	"context"
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// maxHops bounds how often a command follows a slot that moves.
const maxHops = 5

// owner returns the node that has the slot of a key or sharded channel, as far as is
// known. A single Redis has all.
func owner(ctx context.Context, client goredis.UniversalClient, key string) (*goredis.Client, error) {
	switch c := client.(type) {
	case *goredis.ClusterClient:
		return c.MasterForKey(ctx, key)
	case *goredis.Client:
		return c, nil
	default:
		return nil, errClient
	}
}

// once sends a command to the node that has the slot of a key, and follows a slot that
// has moved. go-redis' cluster client does so too, but it also sends again what may
// have been done, when only the answer was lost: others would be told twice.
func once(ctx context.Context, client goredis.UniversalClient, key string, command func(goredis.Cmdable) goredis.Cmder) error {
	cluster, ok := client.(*goredis.ClusterClient)
	if !ok {
		return command(client).Err()
	}
	node, err := owner(ctx, client, key)
	if err != nil {
		return errUnsent{err}
	}
	for hop, ask := 0, false; ; hop++ {
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
		case err == nil || hop == maxHops:
			return err
		case ask, moved: // nothing was done
			if node = masterAt(ctx, cluster, addr); node == nil {
				return err
			}
		default:
			if answer := goredis.Error(nil); !errors.As(err, &answer) {
				cluster.ReloadState(ctx) // perhaps another node has been promoted
			}
			return err
		}
	}
}

// masterAt asks the cluster for its masters and returns the one at an address, whose
// host is empty when it is that of the node which named it.
func masterAt(ctx context.Context, cluster *goredis.ClusterClient, addr string) (found *goredis.Client) {
	masters := make(chan *goredis.Client, 1)
	_ = cluster.ForEachMaster(ctx, func(_ context.Context, node *goredis.Client) error {
		if own := node.Options().Addr; own == addr || strings.HasPrefix(addr, ":") && strings.HasSuffix(own, addr) {
			select {
			case masters <- node:
			default: // another with the same port
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

// relearn has a cluster's slots looked up, and waits until they have been.
func relearn(ctx context.Context, client goredis.UniversalClient) {
	if cluster, ok := client.(*goredis.ClusterClient); ok {
		_ = masterAt(ctx, cluster, "") // go-redis asks anew for it
	}
}
