package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Comment is what somebody has said to their friends.
type Comment struct {
	ID   int64  `json:"id"`
	From User   `json:"from"`
	Text string `json:"text"`
	At   int64  `json:"at"` // Unix milliseconds
}

// Comments keeps what people said. It is safe for concurrent use.
type Comments struct{ db *sql.DB }

// Add keeps a comment.
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
		return Comment{}, fmt.Errorf("dashboard: comment: %w", err)
	}
	return comment, nil
}

// Feed returns the latest comments of me and me's friends, the newest first.
func (c *Comments) Feed(ctx context.Context, me string, limit int) ([]Comment, error) {
	rows, err := c.db.QueryContext(ctx, `SELECT c.id, c.text, c.created, u.id, u.login, u.name
		FROM comments c JOIN users u ON u.id = c.author
		WHERE c.author = ?1
		   OR c.author IN (SELECT asked FROM friends WHERE asker = ?1 AND accepted)
		   OR c.author IN (SELECT asker FROM friends WHERE asked = ?1 AND accepted)
		ORDER BY c.id DESC LIMIT ?2`, me, limit)
	if err != nil {
		return nil, fmt.Errorf("dashboard: feed: %w", err)
	}
	defer rows.Close()
	feed := []Comment{}
	for rows.Next() {
		var comment Comment
		if err := rows.Scan(&comment.ID, &comment.Text, &comment.At, &comment.From.ID, &comment.From.Login, &comment.From.Name); err != nil {
			return nil, fmt.Errorf("dashboard: feed: %w", err)
		}
		feed = append(feed, comment)
	}
	return feed, rows.Err()
}
