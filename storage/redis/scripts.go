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

// script is a Lua script and the name that the server knows it by.
type script struct{ source, sha string }

func newScript(source string) script {
	sum := sha1.Sum([]byte(source))
	return script{source: source, sha: hex.EncodeToString(sum[:])}
}

// command calls the script for one key, by name or (whole) by its source.
func (sc script) command(ctx context.Context, whole bool, key string, args []any) *goredis.Cmd {
	all := make([]any, 0, 4+len(args))
	if whole {
		all = append(all, "eval", sc.source, 1, key)
	} else {
		all = append(all, "evalsha", sc.sha, 1, key)
	}
	return goredis.NewCmd(ctx, append(all, args...)...)
}

// run runs a script in one round trip. A server that does not know it yet (it is
// new, or was restarted) has run nothing, and gets the source.
func (s *Storage) run(ctx context.Context, sc script, write bool, key string, args ...any) (*goredis.Cmd, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	cmd := sc.command(ctx, false, key, args)
	err := s.router.do(ctx, key, cmd)
	if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
		cmd = sc.command(ctx, true, key, args)
		err = s.router.do(ctx, key, cmd)
	}
	return cmd, explain(err, write)
}

// number runs a script that writes and answers with a number.
func (s *Storage) number(ctx context.Context, sc script, key string, args ...any) (int64, error) {
	cmd, err := s.run(ctx, sc, true, key, args...)
	if err != nil {
		return 0, err
	}
	n, err := cmd.Int64()
	return n, explain(err, true)
}

// revision is the hash of the content that the scripts compute as well.
func revision(val []byte) storage.Revision {
	if len(val) == 0 {
		return storage.Absent
	}
	sum := sha1.Sum(val)
	var text [2 * sha1.Size]byte
	hex.Encode(text[:], sum[:])
	return storage.Revision(text[:])
}

// millis is a ttl in Redis' unit, rounded up so that 0 stays the sign for none.
func millis(ttl time.Duration) int64 {
	ms := ttl.Milliseconds()
	if ttl%time.Millisecond != 0 {
		ms++
	}
	return ms
}
