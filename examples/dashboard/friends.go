package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Tie is how a user stands to another.
type Tie string

// The ties.
const (
	Mutual Tie = "friend" // both want it
	Asks   Tie = "asks"   // they ask, and this user has not answered
	Asked  Tie = "asked"  // this user asks, and they have not answered
)

// Friend is another user and the tie to them.
type Friend struct {
	User
	Tie    Tie  `json:"tie"`
	Online bool `json:"online"` // of Mutual ones, and filled in by who knows (live.go)
}

// maxFriends bounds the friends and requests of one user.
const maxFriends = 200

// Friends knows who is whose friend. It is safe for concurrent use.
type Friends struct{ db *sql.DB }

// Ask asks the user with that login to be me's friend, and returns them. When they
// have asked me already, that makes the two friends.
func (f *Friends) Ask(ctx context.Context, me, login string) (User, error) {
	other := User{Login: normalLogin(login)}
	err := f.db.QueryRowContext(ctx, `SELECT id, name FROM users WHERE login = ?`, other.Login).Scan(&other.ID, &other.Name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return User{}, ErrNobody
	case err != nil:
		return User{}, fmt.Errorf("dashboard: ask: %w", err)
	case other.ID == me:
		return User{}, ErrYourself
	}
	// One statement, so that nobody comes in between the count and the row.
	err = f.change(ctx, `INSERT INTO friends (asker, asked) SELECT ?1, ?2
		WHERE (SELECT count(*) FROM friends WHERE asker = ?1 OR asked = ?1) < ?3
		  AND (SELECT count(*) FROM friends WHERE asker = ?2 OR asked = ?2) < ?3
		ON CONFLICT DO NOTHING`, me, other.ID, maxFriends)
	if errors.Is(err, ErrNoRequest) { // there is something between them already
		err = f.Accept(ctx, me, other.ID)
	}
	if errors.Is(err, ErrNoRequest) {
		err = f.whyNot(ctx, me, other.ID)
	}
	return other, err
}

// whyNot tells why me could not ask other.
func (f *Friends) whyNot(ctx context.Context, me, other string) error {
	var accepted bool
	err := f.db.QueryRowContext(ctx, `SELECT accepted FROM friends
		WHERE (asker = ?1 AND asked = ?2) OR (asker = ?2 AND asked = ?1)`, me, other).Scan(&accepted)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrManyFriends
	case err != nil:
		return fmt.Errorf("dashboard: ask: %w", err)
	case accepted:
		return ErrFriends
	}
	return ErrAsked
}

// Accept makes me and the user who asked them friends.
func (f *Friends) Accept(ctx context.Context, me, asker string) error {
	return f.change(ctx, `UPDATE friends SET accepted = 1 WHERE asker = ? AND asked = ? AND accepted = 0`, asker, me)
}

// Remove ends what is between the two: a friendship, or a request of either.
func (f *Friends) Remove(ctx context.Context, me, other string) error {
	return f.change(ctx, `DELETE FROM friends WHERE (asker = ?1 AND asked = ?2) OR (asker = ?2 AND asked = ?1)`, me, other)
}

func (f *Friends) change(ctx context.Context, statement string, args ...any) error {
	res, err := f.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("dashboard: friends: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrNoRequest, err)
	}
	return nil
}

// Of returns everybody to whom me has a tie, by name.
func (f *Friends) Of(ctx context.Context, me string) ([]Friend, error) {
	rows, err := f.db.QueryContext(ctx, `SELECT u.id, u.login, u.name,
		CASE WHEN f.accepted THEN 'friend' WHEN f.asked = ?1 THEN 'asks' ELSE 'asked' END
		FROM friends f JOIN users u ON u.id = CASE WHEN f.asker = ?1 THEN f.asked ELSE f.asker END
		WHERE f.asker = ?1 OR f.asked = ?1 ORDER BY u.name COLLATE NOCASE, u.login`, me)
	if err != nil {
		return nil, fmt.Errorf("dashboard: friends: %w", err)
	}
	defer rows.Close()
	friends := []Friend{}
	for rows.Next() {
		var friend Friend
		if err := rows.Scan(&friend.ID, &friend.Login, &friend.Name, &friend.Tie); err != nil {
			return nil, fmt.Errorf("dashboard: friends: %w", err)
		}
		friends = append(friends, friend)
	}
	return friends, rows.Err()
}

// IDs returns the IDs of me's friends, of those that both want it.
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
