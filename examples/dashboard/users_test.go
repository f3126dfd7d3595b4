package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// openTables opens a database file and returns its users and friends.
func openTables(t *testing.T, path string) (*Users, *Friends) {
	t.Helper()
	db, err := openDB(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	passwords, err := NewPasswords(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return &Users{db, passwords}, &Friends{db}
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	users, _ := openTables(t, ":memory:")
	for _, c := range []struct {
		name                 string
		login, called, typed string
		want                 error
	}{
		{"plain", "ada", "Ada Lovelace", password, nil},
		{"spaces and capitals are normalized", " @Grace_1 ", "  Grace \n  Hopper ", password, nil},
		{"taken", "ADA", "Another", password, ErrTaken},
		{"login too short", "ab", "A", password, ErrBadLogin},
		{"login too long", strings.Repeat("a", 21), "A", password, ErrBadLogin},
		{"login that looks like another", "аda", "Cyrillic", password, ErrBadLogin},
		{"no name", "bob", " \t", password, ErrBadName},
		{"name too long", "bob", strings.Repeat("b", 41), password, ErrBadName},
		{"name that changes the text direction", "bob", "Bob\u202e", password, ErrBadName},
		{"name that is not UTF-8", "bob", "Bob\xff", password, ErrBadName},
		{"password too short", "bob", "Bob", "ninechars", ErrBadPassword},
		{"password too long", "bob", "Bob", strings.Repeat("p", 201), ErrBadPassword},
		{"password of ten characters", "bob", "Bob", "éééééééééé", nil},
	} {
		user, err := users.SignUp(t.Context(), c.login, c.called, c.typed)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil {
			continue
		}
		if user.Name != strings.Join(strings.Fields(c.called), " ") || user.Login != strings.ToLower(strings.Trim(c.login, " @")) {
			t.Errorf("%s: %+v", c.name, user)
		}
		if got, err := users.LogIn(t.Context(), c.login, c.typed); err != nil || got != user {
			t.Errorf("%s: log in: %+v, %v", c.name, got, err)
		}
		if _, err := users.LogIn(t.Context(), c.login, c.typed+"x"); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s: log in with another password: %v", c.name, err)
		}
		if got, err := users.ByID(t.Context(), user.ID); err != nil || got != user {
			t.Errorf("%s: by ID: %+v, %v", c.name, got, err)
		}
	}
	if _, err := users.ByID(t.Context(), ""); !errors.Is(err, errNoUser) {
		t.Errorf("a user without an ID: %v", err)
	}
}

// Users survive a restart, whatever characters the path of the database contains.
func TestUsersArePersistent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "with space & 100%?.db")
	users, _ := openTables(t, path)
	ada, err := users.SignUp(t.Context(), "ada", "Ada", password)
	if err != nil {
		t.Fatal(err)
	}
	users.db.Close()
	users, _ = openTables(t, path)
	if got, err := users.LogIn(t.Context(), "ada", password); err != nil || got != ada {
		t.Errorf("%+v, %v", got, err)
	}
}

// Concurrent requests cannot exceed maxFriends.
func TestFriendsAreLimited(t *testing.T) {
	t.Parallel()
	users, friends := openTables(t, ":memory:")
	people := func(prefix string, n int) {
		for i := range n {
			login := fmt.Sprint(prefix, i)
			if _, err := users.db.Exec(`INSERT INTO users VALUES (?, ?, ?, '', 0)`, login, login, login); err != nil {
				t.Fatal(err)
			}
		}
	}
	people("star", 1)
	people("fan", maxFriends+20)
	var wg sync.WaitGroup
	var mu sync.Mutex
	rejected := 0
	for i := range maxFriends + 20 {
		wg.Go(func() {
			_, err := friends.Ask(context.Background(), fmt.Sprint("fan", i), "star0")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, ErrManyFriends):
				rejected++
			case err != nil:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := friends.Of(t.Context(), "star0")
	if err != nil || len(all) != maxFriends || rejected != 20 {
		t.Errorf("%d friends, %d rejected, want %d and 20: %v", len(all), rejected, maxFriends, err)
	}
	if ids, err := friends.IDs(t.Context(), "star0"); err != nil || len(ids) != 0 {
		t.Errorf("IDs contains open requests: %v, %v", ids, err)
	}
}
