package memory

import (
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

var errURL = fmt.Errorf("%w: memory:// takes no host, path or options", storage.ErrBadURL)

// Config configures New.
type Config struct {
	// GCInterval is the time between two removals of expired entries. It affects
	// memory use only: an expired entry is never returned. At least 1 second.
	// Optional. Default: 10 * time.Second
	GCInterval time.Duration
}

// ConfigDefault has the default values of Config.
var ConfigDefault = Config{
	GCInterval: 10 * time.Second,
}

// configDefault returns config with its defaults. It panics on a value that is not
// allowed.
func configDefault(config ...Config) Config {
	if len(config) == 0 {
		return ConfigDefault
	}
	cfg := config[0]
	if cfg.GCInterval == 0 {
		cfg.GCInterval = ConfigDefault.GCInterval
	}
	if cfg.GCInterval < time.Second {
		panic(fmt.Sprintf("memory: Config.GCInterval is %v: must be at least 1s, or 0 for the default (%v)",
			cfg.GCInterval, ConfigDefault.GCInterval))
	}
	return cfg
}
