package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// User is the public part of an account.
type User struct {
	ID    string `json:"id"` // random, never changes
	Login string `json:"login"`
	Name  string `json:"name"`
}

// Users is the table of accounts. It is safe for concurrent use.
type Users struct {
	db        *sql.DB
	passwords *Passwords
}

// errNoUser is returned for an ID without a user.
var errNoUser = errors.New("dashboard: no such user")

var loginPattern = regexp.MustCompile(`^[a-z0-9_]{3,20}$`)

// SignUp creates a user. It returns a *Problem for the first invalid field, ErrTaken if
// the login exists, and ErrBusy if no slot to hash the password came free in time.
func (u *Users) SignUp(ctx context.Context, login, name, password string) (User, error) {
	user := User{ID: rand.Text(), Login: normalLogin(login), Name: strings.Join(strings.Fields(name), " ")}
	switch {
	case user.Name == "" || utf8.RuneCountInString(user.Name) > 40 || !printable(user.Name):
		return User{}, ErrBadName
	case !loginPattern.MatchString(user.Login):
		return User{}, ErrBadLogin
	case utf8.RuneCountInString(password) < 10 || len(password) > 200:
		return User{}, ErrBadPassword
	}
	hash, err := u.passwords.Hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	res, err := u.db.ExecContext(ctx, `INSERT INTO users (id, login, name, password, created) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (login) DO NOTHING`, user.ID, user.Login, user.Name, hash, time.Now().UnixMilli())
	if err != nil {
		return User{}, fmt.Errorf("dashboard: sign up: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return User{}, errors.Join(ErrTaken, err)
	}
	return user, nil
}

// LogIn returns the user with that login and password. It returns ErrCredentials if either
// is wrong, so a visitor cannot find out which names exist.
func (u *Users) LogIn(ctx context.Context, login, password string) (User, error) {
	if len(password) > 200 {
		return User{}, ErrCredentials
	}
	user, hash := User{Login: normalLogin(login)}, ""
	row := u.db.QueryRowContext(ctx, `SELECT id, name, password FROM users WHERE login = ?`, user.Login)
	if err := row.Scan(&user.ID, &user.Name, &hash); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return User{}, fmt.Errorf("dashboard: log in: %w", err)
	}
	if err := u.passwords.Verify(ctx, password, hash); err != nil {
		return User{}, err
	}
	return user, nil
}

// ByID returns the user with that ID. It returns errNoUser if there is none.
func (u *Users) ByID(ctx context.Context, id string) (User, error) {
	user := User{ID: id}
	err := u.db.QueryRowContext(ctx, `SELECT login, name FROM users WHERE id = ?`, id).Scan(&user.Login, &user.Name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return User{}, errNoUser
	case err != nil:
		return User{}, fmt.Errorf("dashboard: load user: %w", err)
	}
	return user, nil
}

// normalLogin normalizes a typed login: "@Ada " becomes "ada".
func normalLogin(login string) string {
	return strings.ToLower(strings.TrimPrefix(strings.TrimSpace(login), "@"))
}

// printable reports whether text consists of printable characters and line breaks. It
// rejects the control characters that change the direction of the text around them.
func printable(text string) bool {
	for _, r := range text {
		if r != '\n' && (r == utf8.RuneError || !unicode.IsPrint(r)) {
			return false
		}
	}
	return true
}
