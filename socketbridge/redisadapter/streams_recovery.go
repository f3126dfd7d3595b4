package redisadapter

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

// recoveryRecord is the stored state of a disconnected socket: the record of Node's
// adapter with one more member.
type recoveryRecord struct {
	ID        looseString        `json:"sid"`
	PID       string             `json:"pid"`
	Rooms     []looseString      `json:"rooms"`
	Data      json.RawMessage    `json:"data"`
	Extension *recoveryExtension `json:"fiberbridge,omitempty"`
}

// recoveryExtension is the part of a recoveryRecord that Node's servers do not have.
type recoveryExtension struct {
	Namespace string `json:"nsp"`
	Owner     string `json:"owner"`
	State     string `json:"state"`
}

// recoveryKey returns the key of a disconnected socket's state. Sockets without an owner
// are stored where servers for Node find them. Those servers cannot check owners, so
// sockets with an owner are stored elsewhere.
func (s *StreamsAdapter) recoveryKey(pid, owner string) string {
	if owner == "" {
		return s.cfg.SessionKey + pid
	}
	return s.cfg.Key + ":recovery:" + pid
}

// SaveState implements adapter.Log.
func (s *StreamsAdapter) SaveState(ctx context.Context, r *adapter.RecoveryState, ttl time.Duration) error {
	v := recoveryRecord{ID: looseString(r.ID), PID: r.PID, Data: r.Data}
	for _, room := range r.Rooms {
		v.Rooms = append(v.Rooms, looseString(room))
	}
	if r.State != nil {
		v.Extension = &recoveryExtension{Namespace: r.Namespace, Owner: r.Owner, State: string(r.State)}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	data, err := msgpack.Append(nil, text, nil)
	if err != nil {
		return err
	}
	key := s.recoveryKey(r.PID, r.Owner)
	value, err := s.signer.sealState(key, base64.StdEncoding.EncodeToString(data))
	if err != nil {
		return publishError(err)
	}
	err = s.client.Set(ctx, key, value, max(ttl, time.Millisecond)).Err()
	if err != nil {
		return publishError(err)
	}
	return nil
}

// redeemScript deletes a key if it still has the given value. If several nodes have read
// the same value, one of them redeems it.
var redeemScript = goredis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// TakeState implements adapter.Log.
func (s *StreamsAdapter) TakeState(ctx context.Context, namespace, pid, owner string) (*adapter.RecoveryState, error) {
	key := s.recoveryKey(pid, owner)
	value, err := s.client.Get(ctx, key).Result()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	packed, err := s.signer.openState(key, value)
	if !s.isAccepted(packed != value, err) {
		return nil, nil
	}
	text, _, err := decodeBase64(packed)
	if err != nil {
		return nil, err
	}
	var v recoveryRecord
	if err := unmarshal(text, &v); err != nil {
		return nil, err
	}
	r := &adapter.RecoveryState{PID: v.PID, ID: string(v.ID), Rooms: toStrings(v.Rooms), Data: orEmptyObject(v.Data)}
	if v.Extension != nil {
		r.Namespace, r.Owner, r.State = v.Extension.Namespace, v.Extension.Owner, []byte(v.Extension.State)
	}
	if r.PID != pid || r.Owner != owner || v.Extension != nil && r.Namespace != namespace {
		return nil, nil
	}
	redeemed, err := redeemScript.Run(ctx, s.client, []string{key}, value).Int()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	if redeemed == 0 {
		return nil, nil
	}
	return r, nil
}
