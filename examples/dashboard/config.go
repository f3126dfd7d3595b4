package main

import (
	"os"
	"time"
)

// Config is what the environment says.
type Config struct {
	Addr     string // ADDR, where to listen
	Storage  string // STORAGE, where sessions live: memory:// or redis://…
	Database string // DATABASE, the file with the users, or :memory:

	// Proxy is PROXY: the address of a proxy in front, whose X-Forwarded-For is
	// believed. Without it, limits per address would count the proxy.
	Proxy string

	// Insecure is INSECURE=1: plain http to another machine than this one, so that
	// a phone in the same network can be tried. Anyone on the way can read it.
	Insecure bool
}

func fromEnv() Config {
	return Config{
		Addr:     env("ADDR", "127.0.0.1:3000"),
		Storage:  env("STORAGE", "memory://"),
		Database: env("DATABASE", "dashboard.db"),
		Proxy:    env("PROXY", ""),
		Insecure: env("INSECURE", "") == "1",
	}
}

func env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

// The limits of this site.
const (
	signInWindow   = 15 * time.Minute
	signInsPerUser = 5  // failed ones in a row, per name and network
	signInsPerNet  = 50 // all attempts, per network
	signUpsPerNet  = 20 // all attempts, per network

	saysPerMinute = 30 // comments of one user
	asksPerMinute = 20 // requests of one user for a friend: each is a look whether a name exists

	visitorIdle = time.Hour          // of the session of somebody who is not signed in
	memberIdle  = 7 * 24 * time.Hour // of somebody who is
	memberLife  = 30 * 24 * time.Hour

	hashWait = 3 * time.Second // for a free slot to hash a password
	feedSize = 50
)
