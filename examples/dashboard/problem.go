package main

import "github.com/fiberbridge/fiberbridge/socketbridge"

// Problem is an error that the user can act on, so its text is shown to them. All other
// errors are only logged.
type Problem struct {
	Code string // for scripts; never changes
	Text string // for people
}

// Error implements error.
func (p *Problem) Error() string { return p.Text }

// event returns the problem as the answer to a socket's event.
func (p *Problem) event() error { return &socketbridge.EventError{Code: p.Code, Message: p.Text} }

// Problems.
var (
	ErrCredentials = &Problem{"credentials", "The user name and password do not match."}
	ErrTaken       = &Problem{"taken", "That user name is taken."}
	ErrBadLogin    = &Problem{"bad_login", "A user name needs 3 to 20 characters: a to z, 0 to 9 and _."}
	ErrBadName     = &Problem{"bad_name", "Please enter a name of at most 40 characters."}
	ErrBadPassword = &Problem{"bad_password", "A password needs at least 10 characters and at most 200 bytes."}
	ErrBusy        = &Problem{"busy", "Many people are logging in right now. Please try again in a moment."}
	ErrTooMany     = &Problem{"too_many_attempts", "Too many attempts. Please wait a few minutes."}
	ErrNobody      = &Problem{"nobody", "There is no user with that name."}
	ErrYourself    = &Problem{"yourself", "You cannot add yourself as a friend."}
	ErrFriends     = &Problem{"friends", "You are already friends."}
	ErrAsked       = &Problem{"asked", "You have already sent this person a request."}
	ErrNoRequest   = &Problem{"no_request", "That request no longer exists."}
	ErrManyFriends = &Problem{"many_friends", "One of you has reached the limit of friends and requests."}
	ErrTooFast     = &Problem{"too_fast", "You are sending too fast. Please wait a minute."}
	ErrBadRequest  = &Problem{"bad_request", "This page sent something that could not be read. Please reload it."}
	ErrFailed      = &Problem{"failed", "Something went wrong. Please try again in a moment."}
	ErrBadComment  = &Problem{"bad_comment", "A comment needs 1 to 500 characters."}
)
