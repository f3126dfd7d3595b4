package main

import (
	"regexp"
	"strings"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

var namePattern = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{M}\p{N} ._-]{1,19}$`)

// parseUser returns the user for a typed name, and reports whether the name is valid.
func parseUser(typed string) (User, bool) {
	name := strings.Join(strings.Fields(typed), " ")
	return User{strings.ToLower(name), name}, namePattern.MatchString(name)
}

// Keys of Socket.Data. Other nodes can read the string values with FetchSockets.
const (
	dataUser    = "user"
	dataName    = "name"
	dataNode    = "node"
	dataLimiter = "limiter" // a *limiter, which stays on this node
)

// currentUser returns the user that a socket was authenticated as.
func currentUser(socket *socketbridge.Socket) User {
	id, _ := socket.Data().Get(dataUser).(string)
	name, _ := socket.Data().Get(dataName).(string)
	return User{id, name}
}

// authenticate rejects sockets whose session has no user.
func (s *server) authenticate(c *socketbridge.Connect) error {
	user := c.Session().User()
	if user == "" {
		return &socketbridge.ConnectError{Message: "Please log in first.", Data: map[string]string{"code": "not_logged_in"}}
	}
	name, err := nameKey.Get(c.Session())
	if err != nil {
		return err
	}
	data := c.Socket().Data()
	data.Set(dataUser, user)
	data.Set(dataName, name)
	data.Set(dataNode, s.node)
	data.Set(dataLimiter, new(limiter))
	return c.Next()
}
