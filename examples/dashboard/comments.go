package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Comment is a message from a user to their friends.
type Comment struct {
	ID   int64  `json:"id"`
	From User   `json:"from"`
	Text string `json:"text"`
	At   int64  `json:"at"` // Unix milliseconds
}

// Comments is the table of comments. It is safe for concurrent use.
type Comments struct{ db *sql.DB }

// Add stores a comment. It returns ErrBadComment if text is empty, longer than 500
// characters or not printable.
func (c *Comments) Add(ctx context.Context, from User, text string) (Comment, error) {
	comment := Comment{From: from, Text: strings.TrimSpace(text), At: time.Now().UnixMilli()}
	if comment.Text == "" || utf8.RuneCountInString(comment.Text) > 500 || !printable(comment.Text) {
		return Comment{}, ErrBadComment
	}
	res, err := c.db.ExecContext(ctx, `INSERT INTO comments (author, text, created) VALUES (?, ?, ?)`, from.ID, comment.Text, comment.At)
	if err == nil {
		comment.ID, err = res.LastInsertId()
	}
	if err != nil {
		return Comment{}, fmt.Errorf("dashboard: add comment: %w", err)
	}
	return comment, nil
}

// Feed returns the latest comments by the user me and their friends, newest first.
func (c *Comments) Feed(ctx context.Context, me string, limit int) ([]Comment, error) {
	rows, err := c.db.QueryContext(ctx, `SELECT c.id, c.text, c.created, u.id, u.login, u.name
		FROM comments c JOIN users u ON u.id = c.author
		WHERE c.author = ?1
		   OR c.author IN (SELECT asked FROM friends WHERE asker = ?1 AND accepted)
		   OR c.author IN (SELECT asker FROM friends WHERE asked = ?1 AND accepted)
		ORDER BY c.id DESC LIMIT ?2`, me, limit)
	if err != nil {
		return nil, fmt.Errorf("dashboard: load feed: %w", err)
	}
	defer rows.Close()
	feed := []Comment{}
	for rows.Next() {
		var comment Comment
		if err := rows.Scan(&comment.ID, &comment.Text, &comment.At, &comment.From.ID, &comment.From.Login, &comment.From.Name); err != nil {
			return nil, fmt.Errorf("dashboard: load feed: %w", err)
		}
		feed = append(feed, comment)
	}
	return feed, rows.Err()
}

// listComments handles "comments": it answers with the user's feed.
func (s *server) listComments(p *socketbridge.Packet) error {
	feed, err := s.comments.Feed(p.Context(), currentUser(p.Socket()).ID, feedSize)
	if err != nil {
		return err
	}
	return p.Ack(feed)
}

// say handles "say": it stores a comment and sends it to all sockets of the user and of
// their friends, whatever sessions, devices and nodes those sockets belong to.
func (s *server) say(p *socketbridge.Packet) error {
	text, err := textArg(p)
	if err != nil {
		return err
	}
	user := currentUser(p.Socket())
	if !s.commentsPerUser.Allow(user.ID) {
		return ErrTooFast
	}
	comment, err := s.comments.Add(p.Context(), user, text)
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
