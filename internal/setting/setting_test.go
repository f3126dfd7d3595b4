package setting_test

import (
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/setting"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		apply func(v *time.Duration)
		v     time.Duration
		want  time.Duration
		says  string // what the panic says; empty: none
	}{
		"zero is the default":         {def, 0, time.Second, ""},
		"a value stays":               {def, time.Hour, time.Hour, ""},
		"one nanosecond is positive":  {def, 1, 1, ""},
		"negative is refused":         {def, -time.Second, 0, "pkg: Config.X is -1s: it must be positive (0 means the default, 1s)"},
		"below the floor is refused":  {floor, time.Nanosecond, 0, "pkg: Config.X is 1ns: it must be at least 1ms (0 means the default, 1s)"},
		"the floor itself is allowed": {floor, time.Millisecond, time.Millisecond, ""},
		"zero passes the floor":       {floor, 0, time.Second, ""},
		"negative means none":         {none, -1, -1, ""},
		"zero is not none":            {none, 0, time.Second, ""},
		"not negative allows 0":       {notNegative, 0, 0, ""},
		"not negative refuses -1":     {notNegative, -1, 0, "pkg: Config.X is -1ns: it must not be negative"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				switch said := recover(); {
				case said == nil && tt.says != "":
					t.Errorf("no panic, want %q", tt.says)
				case said != nil && said != tt.says:
					t.Errorf("panic %q, want %q", said, tt.says)
				}
			}()
			tt.apply(&tt.v)
			if tt.v != tt.want {
				t.Errorf("got %v, want %v", tt.v, tt.want)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	n := 0
	if setting.Default("pkg: Config.N", &n, 7); n != 7 {
		t.Errorf("got %d, want 7", n)
	}
}

func def(v *time.Duration)         { setting.Default("pkg: Config.X", v, time.Second) }
func floor(v *time.Duration)       { setting.AtLeast("pkg: Config.X", v, time.Millisecond, time.Second) }
func none(v *time.Duration)        { setting.DefaultOrNone(v, time.Second) }
func notNegative(v *time.Duration) { setting.NotNegative("pkg: Config.X", *v) }
