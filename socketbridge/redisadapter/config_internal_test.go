package redisadapter

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Meaningless and contradictory values are refused with the name of the field.
func TestConfig_Refused(t *testing.T) {
	t.Parallel()
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1"}) // connects on use only
	defer client.Close()
	pubSub := func(cfg Config) { New(client, cfg) }
	streams := func(cfg Config) { NewStreams(client, cfg) }
	for _, tt := range []struct {
		name string
		make func(Config)
		cfg  Config
		want string
	}{
		{"unknown mode", pubSub, Config{Mode: 9}, "redisadapter: Config.Mode is 9: it must be one of the Mode constants (0 means the default, Classic)"},
		{"New for streams", pubSub, Config{Mode: Streams}, "redisadapter: Config.Mode is Streams: New supports the pub/sub modes only; use NewStreams"},
		{"NewStreams for pub/sub", streams, Config{Mode: Sharded}, "redisadapter: Config.Mode is Sharded: NewStreams supports the streams modes only (0 means Streams); use New"},
		{"NewStreams with an unknown mode", streams, Config{Mode: 9}, "redisadapter: Config.Mode is 9: it must be one of the Mode constants (0 means the default, Classic)"},
		{"Timeout", pubSub, Config{Timeout: -time.Second}, "redisadapter: Config.Timeout is -1s: it must be positive (0 means the default, 3s)"},
		{"AnswerTimeout", pubSub, Config{AnswerTimeout: -1}, "redisadapter: Config.AnswerTimeout is -1ns: it must be positive (0 means the default, 1m0s)"},
		{"MaxAnswers", pubSub, Config{MaxAnswers: -1}, "redisadapter: Config.MaxAnswers is -1: it must be positive (0 means the default, 1024)"},
		{"MaxMessage", pubSub, Config{MaxMessage: -1}, "redisadapter: Config.MaxMessage is -1: it must be positive (0 means the default, 16777216)"},
		{"StreamCount", streams, Config{StreamCount: -1}, "redisadapter: Config.StreamCount is -1: it must be positive (0 means the default, 1)"},
		{"MaxLen", streams, Config{MaxLen: -1}, "redisadapter: Config.MaxLen is -1: it must be positive (0 means the default, 10000)"},
		{"Heartbeat", streams, Config{Heartbeat: -time.Second}, "redisadapter: Config.Heartbeat is -1s: it must be positive (0 means the default, 5s)"},
		{"HeartbeatTimeout", streams, Config{HeartbeatTimeout: -time.Second}, "redisadapter: Config.HeartbeatTimeout is -1s: it must be positive (0 means the default, 10s)"},
		{"HeartbeatTimeout as long as Heartbeat", streams, Config{Heartbeat: 10 * time.Second}, "redisadapter: Config.HeartbeatTimeout is 10s: it must be longer than Config.Heartbeat, which is 10s (0 means the default, 10s)"},
		{"HeartbeatTimeout below the default Heartbeat", streams, Config{HeartbeatTimeout: time.Second}, "redisadapter: Config.HeartbeatTimeout is 1s: it must be longer than Config.Heartbeat, which is 5s (0 means the default, 10s)"},
		{"a short secret", pubSub, Config{Secrets: [][]byte{secretOf(1), secretOf(2)[:31]}}, "redisadapter: Config.Secrets has 31 bytes in number 2: each needs at least 32"},
		{"an empty secret", streams, Config{Secrets: [][]byte{{}}}, "redisadapter: Config.Secrets has 0 bytes in number 1: each needs at least 32"},
		{"AcceptUnsigned without secrets", streams, Config{AcceptUnsigned: true}, "redisadapter: Config.AcceptUnsigned is true without Config.Secrets: there is nothing to accept besides"},
		{"SharedResponses with secrets", pubSub, Config{Secrets: [][]byte{secretOf(1)}, SharedResponses: true}, "redisadapter: Config.SharedResponses is true with Config.Secrets: it is for clusters with servers for Node, which cannot sign"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if got := fmt.Sprint(recover()); got != tt.want {
					t.Errorf("panic is %q, want %q", got, tt.want)
				}
			}()
			tt.make(tt.cfg)
		})
	}
}

// Without a client there is nothing to connect with.
func TestConfig_NilClient(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]func(){"New": func() { New(nil) }, "NewStreams": func() { NewStreams(nil) }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			create()
		})
	}
}

// Every zero field gets its default, and For's prefix goes before the default keys only.
func TestConfig_Defaults(t *testing.T) {
	t.Parallel()
	got := reflect.ValueOf(newConfig(""))
	for i := range got.NumField() {
		field := got.Type().Field(i)
		if field.Name != "SharedResponses" && field.Name != "Secrets" && field.Name != "AcceptUnsigned" && got.Field(i).IsZero() { // their defaults are zero
			t.Errorf("Config.%s has no default", field.Name)
		}
	}
	if cfg := newConfig("shop:"); cfg.Key != "shop:socket.io" || cfg.ChannelPrefix != cfg.Key || cfg.SessionKey != "shop:sio:session:" {
		t.Errorf("default keys with a prefix: %q, %q, %q", cfg.Key, cfg.ChannelPrefix, cfg.SessionKey)
	}
	if cfg := newConfig("shop:", Config{Key: "a", SessionKey: "b:"}); cfg.Key != "a" || cfg.ChannelPrefix != "a" || cfg.SessionKey != "b:" {
		t.Errorf("explicit keys with a prefix: %q, %q", cfg.Key, cfg.SessionKey)
	}
}
