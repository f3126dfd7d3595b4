package engineio

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/setting"
)

// minDuration is the smallest duration that Config accepts. Clients get PingInterval and
// PingTimeout in whole milliseconds.
const minDuration = time.Millisecond

// WithDefaults returns c with the default in place of every zero field. It panics if a
// value makes no sense or if two fields contradict each other; the panic's text names the
// field and what it allows. Calling it on its own result changes nothing.
//
// New calls it. Call it yourself to learn the effective value of a field.
func (c Config) WithDefaults() Config {
	def := ConfigDefault
	if c.Path == "" {
		c.Path = def.Path
	}
	setting.AtLeast("engineio: Config.PingInterval", &c.PingInterval, minDuration, def.PingInterval)
	setting.AtLeast("engineio: Config.PingTimeout", &c.PingTimeout, minDuration, def.PingTimeout)
	setting.Default("engineio: Config.MaxPayload", &c.MaxPayload, def.MaxPayload)

	setting.NotNegative("engineio: Config.Limits.MaxConns", c.Limits.MaxConns)
	setting.DefaultOrNone(&c.Limits.MaxConnsPerIP, def.Limits.MaxConnsPerIP)
	setting.DefaultOrNone(&c.Limits.ConnRatePerIP, def.Limits.ConnRatePerIP)
	setting.DefaultOrNone(&c.Limits.PacketsPerSecond, def.Limits.PacketsPerSecond)
	setting.DefaultOrNone(&c.Limits.BytesPerSecond, def.Limits.BytesPerSecond)
	setting.Default("engineio: Config.Limits.MaxPollPackets", &c.Limits.MaxPollPackets, def.Limits.MaxPollPackets)
	setting.Default("engineio: Config.Limits.MaxQueueBytes", &c.Limits.MaxQueueBytes, def.Limits.MaxQueueBytes)
	setting.Default("engineio: Config.Limits.MaxQueueMessages", &c.Limits.MaxQueueMessages, def.Limits.MaxQueueMessages)
	setting.Default("engineio: Config.Limits.MaxBacklogBytes", &c.Limits.MaxBacklogBytes, def.Limits.MaxBacklogBytes)

	setting.AtLeast("engineio: Config.Timeouts.Upgrade", &c.Timeouts.Upgrade, minDuration, def.Timeouts.Upgrade)
	setting.AtLeast("engineio: Config.Timeouts.Write", &c.Timeouts.Write, minDuration, def.Timeouts.Write)
	setting.AtLeast("engineio: Config.Timeouts.Close", &c.Timeouts.Close, minDuration, def.Timeouts.Close)

	if len(c.Transports) == 0 {
		c.Transports = def.Transports
	}
	if c.AllowHeaders == nil {
		c.AllowHeaders = def.AllowHeaders
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.validate()
	return c
}

// validate panics if a field that is not a number has a value that makes no sense.
func (c *Config) validate() {
	if !strings.HasPrefix(c.Path, "/") || !strings.HasSuffix(c.Path, "/") || c.Path == "/" {
		setting.Refuse("engineio: Config.Path", fmt.Sprintf(
			`is %q: it must begin and end with a slash and have a name in between, such as "/socket.io/"`, c.Path))
	}
	for _, t := range c.Transports {
		if t != Polling && t != WebSocket {
			setting.Refuse("engineio: Config.Transports", fmt.Sprintf("has %q: only %q and %q are allowed", t, Polling, WebSocket))
		}
	}
	if c.AllowAnyOrigin && (len(c.AllowOrigins) > 0 || c.AllowOriginFunc != nil) {
		setting.Refuse("engineio: Config.AllowAnyOrigin", "contradicts AllowOrigins and AllowOriginFunc: set one or the other")
	}
	for _, o := range c.AllowOrigins {
		if err := validateOriginEntry(o); err != nil {
			setting.Refuse("engineio: Config.AllowOrigins", fmt.Sprintf("has %q: %v", o, err))
		}
	}
	for _, h := range c.AllowHeaders {
		// Requests carry credentials, and then "*" means a header with that name.
		if !isToken(h) || h == "*" {
			setting.Refuse("engineio: Config.AllowHeaders", fmt.Sprintf("has %q, which is not the name of a header: list the names", h))
		}
	}
}
