package contribws_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
)

func TestNew_RefusesNegativeSettings(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]contribws.Config{
		"contribws: Config.MaxBehind is -1: it must be positive (0 means the default, 256)":          {MaxBehind: -1},
		"contribws: Config.MaxBehindBytes is -1: it must be positive (0 means the default, 1048576)": {MaxBehindBytes: -1},
		"contribws: Config.EndTimeout is -1s: it must be positive (0 means the default, 5s)":         {EndTimeout: -time.Second},
	} {
		t.Run(strings.Fields(want)[1], func(t *testing.T) {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic is %v, want %q", got, want)
				}
			}()
			contribws.New(socketbridge.New(), cfg)
		})
	}
}
