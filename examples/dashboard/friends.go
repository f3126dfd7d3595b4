package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Tie is the relation of a user to another one.
type Tie string

// The ties.
const (
	Mutual Tie = "friend" // they are friends
	Asks   Tie = "asks"   // the other user sent a request that is not answered yet
	Asked  Tie = "asked"  // this user sent a request that is not answered yet
)

// Friend is another user and the tie to them.
type Friend struct {
	User
	Tie    Tie  `json:"tie"`
	Online bool `json:"online"` // set by listFriends, for Mutual only
}

// maxFriends is the limit of friends and open requests per user.
const maxFriends = 200

// Friends is the table of friendships and friend requests. It is safe for concurrent use.
type Friends struct{ db *sql.DB }

// Ask sends a friend request from the user me to the user with that login, whom it
// returns. If that user has already sent me a request, Ask accepts it. It returns
// ErrNobody, ErrYourself, ErrFriends, ErrAsked or ErrManyFriends if there can be no request.
func (f *Friends) Ask(ctx context.Context, me, login string) (User, error) {
	other := User{Login: normalLogin(login)}
	err := f.db.QueryRowContext(ctx, `SELECT id, name FROM users WHERE login = ?`, other.Login).Scan(&other.ID, &other.Name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return User{}, ErrNobody
	case err != nil:
		return User{}, fmt.Errorf("dashboard: ask friend: %w", err)
	case other.ID == me:
		return User{}, ErrYourself
	}
	// One statement, so that concurrent requests cannot exceed the limit.
	err = f.change(ctx, `INSERT INTO friends (asker, asked) SELECT ?1, ?2
		WHERE (SELECT count(*) FROM friends WHERE asker = ?1 OR asked = ?1) < ?3
		  AND (SELECT count(*) FROM friends WHERE asker = ?2 OR asked = ?2) < ?3
		ON CONFLICT DO NOTHING`, me, other.ID, maxFriends)
	if errors.Is(err, ErrNoRequest) { // nothing was inserted: accept their request, if there is one
		err = f.Accept(ctx, me, other.ID)
	}
	if errors.Is(err, ErrNoRequest) {
		err = f.askError(ctx, me, other.ID)
	}
	return other, err
}

// askError returns the reason why me could not send other a request.
func (f *Friends) askError(ctx context.Context, me, other string) error {
	var accepted bool
	err := f.db.QueryRowContext(ctx, `SELECT accepted FROM friends
		WHERE (asker = ?1 AND asked = ?2) OR (asker = ?2 AND asked = ?1)`, me, other).Scan(&accepted)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrManyFriends
	case err != nil:
		return fmt.Errorf("dashboard: ask friend: %w", err)
	case accepted:
		return ErrFriends
	}
	return ErrAsked
}

// Accept accepts asker's friend request to me. It returns ErrNoRequest if there is none.
func (f *Friends) Accept(ctx context.Context, me, asker string) error {
	return f.change(ctx, `UPDATE friends SET accepted = 1 WHERE asker = ? AND asked = ? AND accepted = 0`, asker, me)
}

// Remove deletes the friendship of the two users, or the request of either of them. It
// returns ErrNoRequest if there is none.
func (f *Friends) Remove(ctx context.Context, me, other string) error {
	return f.change(ctx, `DELETE FROM friends WHERE (asker = ?1 AND asked = ?2) OR (asker = ?2 AND asked = ?1)`, me, other)
}

// change runs a statement and returns ErrNoRequest if it changed no row.
func (f *Friends) change(ctx context.Context, statement string, args ...any) error {
	res, err := f.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("dashboard: change friends: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrNoRequest, err)
	}
	return nil
}

// Of returns all users to whom me has a tie, sorted by name.
func (f *Friends) Of(ctx context.Context, me string) ([]Friend, error) {
	rows, err := f.db.QueryContext(ctx, `SELECT u.id, u.login, u.name,
		CASE WHEN f.accepted THEN 'friend' WHEN f.asked = ?1 THEN 'asks' ELSE 'asked' END
		FROM friends f JOIN users u ON u.id = CASE WHEN f.asker = ?1 THEN f.asked ELSE f.asker END
		WHERE f.asker = ?1 OR f.asked = ?1 ORDER BY u.name COLLATE NOCASE, u.login`, me)
	if err != nil {
		return nil, fmt.Errorf("dashboard: load friends: %w", err)
	}
	defer rows.Close()
	friends := []Friend{}
	for rows.Next() {
		var friend Friend
		if err := rows.Scan(&friend.ID, &friend.Login, &friend.Name, &friend.Tie); err != nil {
			return nil, fmt.Errorf("dashboard: load friends: %w", err)
		}
		friends = append(friends, friend)
	}
	return friends, rows.Err()
}

// IDs returns the IDs of me's friends, without open requests.
func (f *Friends) IDs(ctx context.Context, me string) ([]string, error) {
	all, err := f.Of(ctx, me)
	ids := make([]string, 0, len(all))
	for _, friend := range all {
		if friend.Tie == Mutual {
			ids = append(ids, friend.ID)
		}
	}
	return ids, err
}

// listFriends handles "friends": it answers with the user's friends and requests.
func (s *server) listFriends(p *socketbridge.Packet) error {
	friends, err := s.friends.Of(p.Context(), currentUser(p.Socket()).ID)
	if err != nil {
		return err
	}
	for i, friend := range friends {
		// Only friends see whether a user is online, not people with an open request.
		friends[i].Online = friend.Tie == Mutual && s.online.Has(friend.ID)
	}
	return p.Ack(friends)
}

// askFriend handles "ask": it sends a friend request to the user with a login.
func (s *server) askFriend(p *socketbridge.Packet) error {
	login, err := textArg(p)
	if err != nil {
		return err
	}
	user := currentUser(p.Socket())
	if !s.requestsPerUser.Allow(user.ID) {
		return ErrTooFast
	}
	other, err := s.friends.Ask(p.Context(), user.ID, login)
	if err != nil {
		return err
	}
	s.notifyChanged("friends", user.ID, other.ID)
	return p.Ack(other)
}

// acceptFriend handles "accept".
func (s *server) acceptFriend(p *socketbridge.Packet) error {
	return s.changeTie(p, s.friends.Accept)
}

// removeFriend handles "remove": it ends a friendship, or declines or withdraws a request.
func (s *server) removeFriend(p *socketbridge.Packet) error {
	return s.changeTie(p, s.friends.Remove)
}

// changeTie changes the tie between the user and another user, and notifies both.
func (s *server) changeTie(p *socketbridge.Packet, change func(ctx context.Context, me, other string) error) error {
	other, err := textArg(p)
	if err != nil {
		return err
	}
	user := currentUser(p.Socket())
	if err := change(p.Context(), user.ID, other); err != nil {
		return err
	}
	s.notifyChanged("friends", user.ID, other)
	return p.Ack()
}
