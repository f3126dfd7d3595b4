package main

import (
	"os"
	"time"
)

// Config is the configuration from the environment.
type Config struct {
	Addr     string // ADDR: the address to listen on
	Storage  string // STORAGE: where sessions are kept, memory:// or redis://…
	Database string // DATABASE: the SQLite file of users, friends and comments, or :memory:

	// Proxy is PROXY: the address of a reverse proxy whose X-Forwarded-For header is
	// trusted. If a proxy is in front and Proxy is empty, all visitors share its address
	// and its rate limits.
	Proxy string
}

func configFromEnv() Config {
	return Config{
		Addr:     env("ADDR", "127.0.0.1:3000"),
		Storage:  env("STORAGE", "memory://"),
		Database: env("DATABASE", "dashboard.db"),
		Proxy:    env("PROXY", ""),
	}
}

func env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

// Limits of this site.
const (
	loginWindow       = 15 * time.Minute
	loginsPerName     = 5  // failed logins in a row, per user name and network
	loginsPerNetwork  = 50 // all logins, per network
	signUpsPerNetwork = 20 // all sign-ups, per network

	commentsPerMinute = 30 // per user
	requestsPerMinute = 20 // friend requests per user; each one reveals whether a name exists

	anonymousIdle = time.Hour          // idle time of a session without a user
	userIdle      = 7 * 24 * time.Hour // idle time of a session with a user
	userLifetime  = 30 * 24 * time.Hour

	hashWait = 3 * time.Second // how long to wait for a free slot to hash a password
	feedSize = 50
)
