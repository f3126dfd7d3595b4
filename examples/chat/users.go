package main

import (
	"regexp"
	"strings"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// User is somebody: the same name is the same user, however it is written.
type User struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

const nameKey = "name" // of the session

var goodName = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{M}\p{N} ._-]{1,19}$`)

// userNamed returns the user of a name as it was typed.
func userNamed(typed string) (User, bool) {
	name := strings.Join(strings.Fields(typed), " ")
	return User{strings.ToLower(name), name}, goodName.MatchString(name)
}

// Keys of Socket.Data. Texts are told to other nodes that ask who is in a room.
const (
	dataUser = "user"
	dataName = "name"
	dataNode = "node"
	dataPace = "pace" // a *pace, which stays here
)

// me is the user whom a socket was admitted as.
func me(socket *socketbridge.Socket) User {
	id, _ := socket.Data().Get(dataUser).(string)
	name, _ := socket.Data().Get(dataName).(string)
	return User{id, name}
}

// admit lets in the sockets of sessions that have a user.
func (s *site) admit(c *socketbridge.Connect) error {
	user := c.Session().User()
	if user == "" {
		return &socketbridge.ConnectError{Message: "Log in first.", Data: map[string]string{"code": "not_logged_in"}}
	}
	data := c.Socket().Data()
	data.Set(dataUser, user)
	data.Set(dataName, fibersession.Value[string](c.Session(), nameKey))
	data.Set(dataNode, s.node)
	data.Set(dataPace, new(pace))
	return c.Next()
}
