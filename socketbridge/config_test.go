package socketbridge_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// meaningfulZeros are the fields of Config whose zero value is a valid setting.
var meaningfulZeros = []string{
	"Sessions",  // no session is shared
	"Freshness", // the store decides
	"OnExpiry", "OnRegenerate",
	"DisableTouch",
	"Recovery.Window", // off
	"Adapter",         // a single node
	"Engine.Limits.MaxConns",
	"Engine.DisableUpgrades",
	"Engine.AllowOrigins", "Engine.AllowOriginFunc", "Engine.AllowAnyOrigin", "Engine.RequireOrigin",
	"DisableServeClient",
	"Drain.Delay", "Drain.Rate", // all at once
	"Repeats.Storage",
	"Trace.Operation", "Trace.Handshake", "Trace.Connected", "Trace.Disconnected", "Trace.Handled", "Trace.Emitted", "Trace.RoomChanged", "Trace.SessionChanged", "Trace.Reported",
}

// TestConfig_DefaultsAreAppliedOnce checks that New fills in every default, also those of
// the engine, before anything reads the configuration. It fails for a field without a
// default and for an unexported field.
func TestConfig_DefaultsAreAppliedOnce(t *testing.T) {
	t.Parallel()
	zeros := slices.Clone(meaningfulZeros)
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		for i := range v.NumField() {
			f, value := v.Type().Field(i), v.Field(i)
			name := strings.TrimPrefix(path+"."+f.Name, ".")
			switch at := slices.Index(zeros, name); {
			case !f.IsExported():
				t.Errorf("Config.%s is not exported, so that users cannot set it", name)
			case f.Type.Kind() == reflect.Struct:
				walk(name, value)
			case at >= 0:
				zeros = slices.Delete(zeros, at, at+1)
				if !value.IsZero() {
					t.Errorf("Config.%s is %v by default, want its zero value", name, value)
				}
			case value.IsZero():
				t.Errorf("Config.%s has no default", name)
			}
		}
	}
	cfg := socketbridge.New().Config()
	walk("", reflect.ValueOf(cfg))
	if len(zeros) > 0 {
		t.Errorf("Config has no fields %v, which meaningfulZeros lists", zeros)
	}
	again := newServer(t, cfg).Config()
	if got, want := fmt.Sprintf("%+v", again), fmt.Sprintf("%+v", cfg); got != want {
		t.Errorf("filling in the defaults again changed the configuration:\n%s\nwant\n%s", got, want)
	}
}

func TestConfig_RefusesInvalidValues(t *testing.T) {
	t.Parallel()
	limits := func(l socketbridge.Limits) socketbridge.Config { return socketbridge.Config{Limits: l} }
	timeouts := func(l socketbridge.Timeouts) socketbridge.Config { return socketbridge.Config{Timeouts: l} }
	recovery := func(r socketbridge.Recovery) socketbridge.Config { return socketbridge.Config{Recovery: r} }
	tests := map[string]struct {
		cfg   socketbridge.Config
		wants []string // the field, the value and the allowed values
	}{
		"MaxInbox":           {limits(socketbridge.Limits{MaxInbox: -1}), []string{"socketbridge: Config.Limits.MaxInbox", "-1", "must be positive", "256"}},
		"MaxRooms":           {limits(socketbridge.Limits{MaxRooms: -1}), []string{"socketbridge: Config.Limits.MaxRooms", "-1", "must be positive", "1000"}},
		"Connect":            {timeouts(socketbridge.Timeouts{Connect: -time.Second}), []string{"socketbridge: Config.Timeouts.Connect", "-1s", "at least 1ms", "45s"}},
		"Ack":                {timeouts(socketbridge.Timeouts{Ack: -time.Second}), []string{"socketbridge: Config.Timeouts.Ack", "-1s", "at least 1ms", "30s"}},
		"Request":            {timeouts(socketbridge.Timeouts{Request: -time.Second}), []string{"socketbridge: Config.Timeouts.Request", "-1s", "at least 1ms", "5s"}},
		"a tiny Request":     {timeouts(socketbridge.Timeouts{Request: 1}), []string{"socketbridge: Config.Timeouts.Request", "1ns", "at least 1ms", "5s"}},
		"Presence.TTL":       {socketbridge.Config{Presence: socketbridge.Presence{TTL: -time.Second}}, []string{"socketbridge: Config.Presence.TTL", "-1s", "at least 1ms", "10s"}},
		"Concurrency":        {socketbridge.Config{Concurrency: -1}, []string{"socketbridge: Config.Concurrency", "-1", "must be positive", "default, 1"}},
		"Parser":             {socketbridge.Config{Parser: socketbridge.MsgpackParser + 1}, []string{"socketbridge: Config.Parser", "3", "JSONParser or MsgpackParser"}},
		"Mode":               {socketbridge.Config{Mode: socketbridge.SessionNone + 1}, []string{"socketbridge: Config.Mode", "5", "one of the SessionMode constants"}},
		"Freshness":          {socketbridge.Config{Freshness: fibersession.Tracked + 1}, []string{"socketbridge: Config.Freshness", "3", "Strict or Tracked"}},
		"Window":             {recovery(socketbridge.Recovery{Window: -time.Second}), []string{"socketbridge: Config.Recovery.Window", "-1s", "must not be negative"}},
		"MaxBytes":           {recovery(socketbridge.Recovery{MaxBytes: -1}), []string{"socketbridge: Config.Recovery.MaxBytes ", "-1", "must be positive", "67108864"}},
		"MaxBytesPerSession": {recovery(socketbridge.Recovery{MaxBytesPerSession: -1}), []string{"socketbridge: Config.Recovery.MaxBytesPerSession", "-1", "must be positive", "262144"}},
		"MaxSockets":         {recovery(socketbridge.Recovery{MaxSockets: -1}), []string{"socketbridge: Config.Recovery.MaxSockets", "-1", "must be positive", "10000"}},
		"Drain.Delay":        {socketbridge.Config{Drain: socketbridge.Drain{Delay: -time.Second}}, []string{"socketbridge: Config.Drain.Delay", "-1s", "must not be negative"}},
		"Drain.Rate":         {socketbridge.Config{Drain: socketbridge.Drain{Rate: -1}}, []string{"socketbridge: Config.Drain.Rate", "-1", "must not be negative"}},
		"PingInterval":       {socketbridge.Config{Engine: engineio.Config{PingInterval: time.Nanosecond}}, []string{"engineio: Config.PingInterval", "1ns", "at least 1ms", "25s"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				message := fmt.Sprint(recover())
				for _, want := range tt.wants {
					if !strings.Contains(message, want) {
						t.Errorf("got panic %q, want %q in it", message, want)
					}
				}
			}()
			socketbridge.New(tt.cfg)
		})
	}
}
