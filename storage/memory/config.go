package memory

import (
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

var errURL = fmt.Errorf("%w: memory:// takes neither host nor path nor options", storage.ErrBadURL)

// Config is how New makes a storage.
type Config struct {
	// GCInterval is how often expired entries are removed. They are not seen any
	// more in the meantime. Less than one second means the default.
	// Optional. Default: 10 * time.Second
	GCInterval time.Duration
}

// ConfigDefault is what New uses when it is given no Config.
var ConfigDefault = Config{
	GCInterval: 10 * time.Second,
}

func configDefault(config ...Config) Config {
	if len(config) == 0 {
		return ConfigDefault
	}
	cfg := config[0]
	if cfg.GCInterval < time.Second {
		cfg.GCInterval = ConfigDefault.GCInterval
	}
	return cfg
}
