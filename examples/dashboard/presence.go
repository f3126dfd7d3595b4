package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// OnlineUsers is the set of users that are online, as their friends were last notified.
// It differs from the set of users with a socket: a user who reloads the page stays online.
// The zero value is ready to use and safe for concurrent use.
type OnlineUsers struct {
	mu    sync.Mutex
	users map[string]bool
}

// Set adds a user to the set or removes them.
func (o *OnlineUsers) Set(user string, online bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users == nil {
		o.users = make(map[string]bool)
	}
	if online {
		o.users[user] = true
	} else {
		delete(o.users, user)
	}
}

// Has reports whether a user is online.
func (o *OnlineUsers) Has(user string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.users[user]
}

// onPresence runs when a user comes online or goes offline. It notifies their friends.
func (s *server) onPresence(user string, online bool) {
	s.online.Set(user, online) // first, so that a list requested after the event is up to date
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	friends, err := s.friends.IDs(ctx, user)
	if err == nil && len(friends) > 0 {
		err = s.io.ToUser(friends...).Emit("presence", user, online)
	}
	if err != nil {
		slog.Error("dashboard: could not notify friends of a presence change", "error", err)
	}
}
