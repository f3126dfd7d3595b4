package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Present are the users who are here, as their friends were last told. It is not
// the same as having a socket now: who reloads the page was never away. The zero
// value is ready, and safe for concurrent use.
type Present struct {
	mu    sync.Mutex
	users map[string]bool
}

func (p *Present) set(user string, online bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users == nil {
		p.users = make(map[string]bool)
	}
	if online {
		p.users[user] = true
	} else {
		delete(p.users, user)
	}
}

func (p *Present) has(user string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.users[user]
}

// presence tells the friends of a user, and nobody else, that they came or went.
func (s *site) presence(user string, online bool) {
	s.present.set(user, online) // first: a list that is asked for now is then right too
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	friends, err := s.friends.IDs(ctx, user)
	if err == nil && len(friends) > 0 {
		err = s.io.ToUser(friends...).Emit("presence", user, online)
	}
	if err != nil {
		slog.Error("dashboard: presence was not told", "error", err)
	}
}

func (s *site) friendList(p *socketbridge.Packet) error {
	friends, err := s.friends.Of(p.Context(), me(p.Socket()).ID)
	if err != nil {
		return err
	}
	for i, friend := range friends {
		// Who has only asked does not learn who is there.
		friends[i].Online = friend.Tie == Mutual && s.present.has(friend.ID)
	}
	return p.Ack(friends)
}

func (s *site) askFriend(p *socketbridge.Packet) error {
	login, err := text(p)
	if err != nil {
		return err
	}
	user := me(p.Socket())
	if !s.asks.Take(user.ID) {
		return ErrTooFast
	}
	other, err := s.friends.Ask(p.Context(), user.ID, login)
	if err != nil {
		return err
	}
	s.changed("friends", user.ID, other.ID)
	return p.Ack(other)
}

func (s *site) acceptFriend(p *socketbridge.Packet) error {
	return s.tie(p, s.friends.Accept)
}

func (s *site) removeFriend(p *socketbridge.Packet) error {
	return s.tie(p, s.friends.Remove)
}

// tie changes what is between the user and another, and tells both.
func (s *site) tie(p *socketbridge.Packet, change func(ctx context.Context, me, other string) error) error {
	other, err := text(p)
	if err != nil {
		return err
	}
	user := me(p.Socket())
	if err := change(p.Context(), user.ID, other); err != nil {
		return err
	}
	s.changed("friends", user.ID, other)
	return p.Ack()
}

func (s *site) commentList(p *socketbridge.Packet) error {
	feed, err := s.comments.Feed(p.Context(), me(p.Socket()).ID, feedSize)
	if err != nil {
		return err
	}
	return p.Ack(feed)
}

// say keeps a comment and brings it to the user's friends and own tabs: to all their
// sockets, whatever sessions and devices those are of, and to no other.
func (s *site) say(p *socketbridge.Packet) error {
	words, err := text(p)
	if err != nil {
		return err
	}
	user := me(p.Socket())
	if !s.says.Take(user.ID) {
		return ErrTooFast
	}
	comment, err := s.comments.Add(p.Context(), user, words)
	if err != nil {
		return err
	}
	friends, err := s.friends.IDs(p.Context(), user.ID)
	if err != nil {
		return err
	}
	if err := s.io.ToUser(append(friends, user.ID)...).Emit("comment", comment); err != nil {
		return err
	}
	return p.Ack(comment)
}
