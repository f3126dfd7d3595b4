package engineio

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
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
	setDefault(&c.Path, def.Path)
	setDefault(&c.MaxPayload, def.MaxPayload)
	setDefault(&c.PingInterval, def.PingInterval)
	setDefault(&c.PingTimeout, def.PingTimeout)
	setDefault(&c.Limits.MaxConns, def.Limits.MaxConns)
	setDefault(&c.Limits.MaxConnsPerIP, def.Limits.MaxConnsPerIP)
	setDefault(&c.Limits.ConnRatePerIP, def.Limits.ConnRatePerIP)
	setDefault(&c.Limits.MaxPollPackets, def.Limits.MaxPollPackets)
	setDefault(&c.Limits.MaxQueueBytes, def.Limits.MaxQueueBytes)
	setDefault(&c.Limits.MaxQueueMessages, def.Limits.MaxQueueMessages)
	setDefault(&c.Timeouts.Upgrade, def.Timeouts.Upgrade)
	setDefault(&c.Timeouts.Write, def.Timeouts.Write)
	setDefault(&c.Timeouts.Close, def.Timeouts.Close)
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

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate panics if a field of c, which has its defaults, has a value that makes no sense.
func (c *Config) validate() {
	if !strings.HasPrefix(c.Path, "/") || !strings.HasSuffix(c.Path, "/") || c.Path == "/" {
		panic(fmt.Sprintf("engineio: Config.Path is %q: it must begin and end with a slash and have a name in between, "+
			`such as "/socket.io/"`, c.Path))
	}
	checkDuration("PingInterval", c.PingInterval, ConfigDefault.PingInterval)
	checkDuration("PingTimeout", c.PingTimeout, ConfigDefault.PingTimeout)
	checkDuration("Timeouts.Upgrade", c.Timeouts.Upgrade, ConfigDefault.Timeouts.Upgrade)
	checkDuration("Timeouts.Write", c.Timeouts.Write, ConfigDefault.Timeouts.Write)
	checkDuration("Timeouts.Close", c.Timeouts.Close, ConfigDefault.Timeouts.Close)
	checkLimit("MaxPayload", c.MaxPayload, ConfigDefault.MaxPayload)
	checkLimit("Limits.MaxPollPackets", c.Limits.MaxPollPackets, ConfigDefault.Limits.MaxPollPackets)
	checkLimit("Limits.MaxQueueBytes", c.Limits.MaxQueueBytes, ConfigDefault.Limits.MaxQueueBytes)
	checkLimit("Limits.MaxQueueMessages", c.Limits.MaxQueueMessages, ConfigDefault.Limits.MaxQueueMessages)
	if c.Limits.MaxConns < 0 {
		panic(fmt.Sprintf("engineio: Config.Limits.MaxConns is %d: it must not be negative (0 means no limit)", c.Limits.MaxConns))
	}
	for _, t := range c.Transports {
		if t != Polling && t != WebSocket {
			panic(fmt.Sprintf("engineio: Config.Transports has %q: it may have only %q and %q", t, Polling, WebSocket))
		}
	}
	if c.AllowAnyOrigin && (len(c.AllowOrigins) > 0 || c.AllowOriginFunc != nil) {
		panic("engineio: Config.AllowAnyOrigin contradicts AllowOrigins and AllowOriginFunc: set one or the other")
	}
	for _, o := range c.AllowOrigins {
		if err := validateOriginEntry(o); err != nil {
			panic(fmt.Sprintf("engineio: Config.AllowOrigins has %q: %v", o, err))
		}
	}
	for _, h := range c.AllowHeaders {
		// Requests carry credentials, and then "*" means a header with that name.
		if !isToken(h) || h == "*" {
			panic(fmt.Sprintf("engineio: Config.AllowHeaders has %q, which is not the name of a header: list the names", h))
		}
	}
}

func checkDuration(field string, d, byDefault time.Duration) {
	if d < minDuration {
		panic(fmt.Sprintf("engineio: Config.%s is %v: it must be at least %v (0 means the default, %v)", field, d, minDuration, byDefault))
	}
}

func checkLimit(field string, n, byDefault int) {
	if n < 0 {
		panic(fmt.Sprintf("engineio: Config.%s is %d: it must not be negative, since every connection needs this limit (0 means the default, %d)",
			field, n, byDefault))
	}
}
