package main

import "github.com/fiberbridge/fiberbridge/socketbridge"

// Problem is an error that the person in front of the page can do something
// about. Everything else is the operator's, and stays on the server.
type Problem struct {
	Code string // for scripts; never changes
	Text string // for people
}

// Error implements error.
func (p *Problem) Error() string { return p.Text }

// event is the problem as an answer to a socket's event.
func (p *Problem) event() error { return &socketbridge.EventError{Code: p.Code, Message: p.Text} }

// What people are told.
var (
	ErrCredentials = &Problem{"credentials", "User name and password do not match."}
	ErrTaken       = &Problem{"taken", "That user name is taken."}
	ErrBadLogin    = &Problem{"bad_login", "A user name has 3 to 20 characters: letters a to z, digits, and _."}
	ErrBadName     = &Problem{"bad_name", "Please give a name of at most 40 characters."}
	ErrBadPassword = &Problem{"bad_password", "A password has at least 10 characters, and at most 200 bytes."}
	ErrBusy        = &Problem{"busy", "Many people are signing in right now. Please try again in a moment."}
	ErrTooMany     = &Problem{"too_many_attempts", "Too many attempts. Please wait a few minutes."}
	ErrNobody      = &Problem{"nobody", "Nobody has that user name."}
	ErrYourself    = &Problem{"yourself", "That is you. Ask somebody else."}
	ErrFriends     = &Problem{"friends", "You are friends already."}
	ErrAsked       = &Problem{"asked", "You have asked already. Now it is their turn."}
	ErrNoRequest   = &Problem{"no_request", "That request is no longer there."}
	ErrManyFriends = &Problem{"many_friends", "That is as many friends and requests as one person can have here."}
	ErrTooFast     = &Problem{"too_fast", "That was a lot at once. Please wait a minute."}
	ErrBadRequest  = &Problem{"bad_request", "This page has sent something that cannot be read. Please load it again."}
	ErrFailed      = &Problem{"failed", "That went wrong. Please try again in a moment."}
	ErrBadComment  = &Problem{"bad_comment", "A comment has 1 to 500 characters."}
)
