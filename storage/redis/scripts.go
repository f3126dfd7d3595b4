package redis

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/storage"
)

var (
	//go:embed swap.lua
	swapSource string
	//go:embed delete.lua
	deleteSource string
	//go:embed touch.lua
	touchSource string
	//go:embed addmember.lua
	addMemberSource string
	//go:embed members.lua
	membersSource string
)

var (
	swapScript      = newScript(swapSource)
	deleteScript    = newScript(deleteSource)
	touchScript     = newScript(touchSource)
	addMemberScript = newScript(addMemberSource)
	membersScript   = newScript(membersSource)
)

// script is a Lua script and its SHA-1, by which the server identifies it.
type script struct{ source, sha string }

func newScript(source string) script {
	sum := sha1.Sum([]byte(source))
	return script{source: source, sha: hex.EncodeToString(sum[:])}
}

// command returns the command that calls the script for one key: EVAL with the
// source, or EVALSHA.
func (sc script) command(ctx context.Context, withSource bool, key string, args []any) *goredis.Cmd {
	all := make([]any, 0, 4+len(args))
	if withSource {
		all = append(all, "eval", sc.source, 1, key)
	} else {
		all = append(all, "evalsha", sc.sha, 1, key)
	}
	return goredis.NewCmd(ctx, append(all, args...)...)
}

// run runs a script in one round trip. A server that does not know the script yet,
// because it is new or was restarted, has run nothing; it then gets the source.
func (s *Storage) run(ctx context.Context, sc script, write bool, key string, args ...any) (*goredis.Cmd, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	cmd := sc.command(ctx, false, key, args)
	err := s.router.do(ctx, key, cmd, write)
	if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
		cmd = sc.command(ctx, true, key, args)
		err = s.router.do(ctx, key, cmd, write)
	}
	return cmd, wrap(err, write)
}

// runWrite runs a script that writes and returns a number.
func (s *Storage) runWrite(ctx context.Context, sc script, key string, args ...any) (int64, error) {
	cmd, err := s.run(ctx, sc, true, key, args...)
	if err != nil {
		return 0, err
	}
	n, err := cmd.Int64()
	return n, wrap(err, true)
}

// revision hashes the content as the scripts do.
func revision(val []byte) storage.Revision {
	if len(val) == 0 {
		return storage.Absent
	}
	sum := sha1.Sum(val)
	var text [2 * sha1.Size]byte
	hex.Encode(text[:], sum[:])
	return storage.Revision(text[:])
}

// milliseconds returns ttl in Redis' unit. It rounds up, because 0 means no
// expiration.
func milliseconds(ttl time.Duration) int64 {
	ms := ttl.Milliseconds()
	if ttl%time.Millisecond != 0 {
		ms++
	}
	return ms
}
