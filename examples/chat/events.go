package main

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// This file is the contract between the server and its page: what each sends, and what the
// session holds. Other clients send something else, which gets no further than these types.

// assets/events.d.ts has the same for the page. `go generate ./examples/chat` writes it.
//
//go:generate go run github.com/fiberbridge/fiberbridge/socketbridge/cmd/fiberbridge gen ts --out assets/events.d.ts .

// Events that the page sends.
const (
	// Join adds a room to the session, for all its tabs.
	Join = contract.Event[RoomName, string]("join")
	// Leave removes a room from the session.
	Leave = contract.Event[string, string]("leave")
	// ReadHistory asks for the last messages in a room, oldest first.
	ReadHistory = contract.Event[string, []RoomMessage]("history")
	// ListPeople asks for the users in a room, on all nodes.
	ListPeople = contract.Event[string, []Person]("people")
	// ListRooms asks for the rooms that users joined or wrote in within the last day.
	ListRooms = contract.Event[contract.None, []string]("list")
	// Say sends a message to a room.
	Say = contract.Event[SayIn, RoomMessage]("say")
	// Tell sends a private message.
	Tell = contract.Event[TellIn, PrivateMessage]("tell")
	// Typing tells the others in a room that the user is typing.
	Typing = contract.Event[string, contract.None]("typing")
)

// Events that the server sends.
const (
	// Hello is the first event after each connect.
	Hello = contract.Notice[Greeting]("hello")
	// JoinedRooms has the rooms of the session. It is sent after each connect and each change.
	JoinedRooms = contract.Notice[[]string]("rooms")
	// Said is a new message in a room, also to its sender.
	Said = contract.Notice[RoomMessage]("message")
	// Told is a new private message, also to its sender.
	Told = contract.Notice[PrivateMessage]("private")
	// SomeoneTypes is sent to a room while another user is typing.
	SomeoneTypes = contract.Notice[TypingUser]("typing")
	// PeopleChanged asks pages that show a room to request its users again. "" is all rooms.
	PeopleChanged = contract.Notice[string]("people")
	// RoomsChanged asks pages to request the list of rooms again.
	RoomsChanged = contract.Notice[contract.None]("list")
	// Ended says why the session has ended, before the socket is disconnected.
	Ended = contract.Notice[EndReason]("ended")
)

// Values of the session.
const (
	// The user's name.
	nameKey = fibersession.Key[string]("name")
	// The rooms of all tabs of the session, on any node.
	roomsKey = fibersession.Key[[]string]("rooms")
)

// RoomName is the name of a room that a user types.
type RoomName string

var roomPattern = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}][\p{Ll}\p{Lo}\p{N}-]{0,23}$`)

// UnmarshalText returns errRoomName for a name that no room can have.
func (n *RoomName) UnmarshalText(text []byte) error {
	if !roomPattern.Match(text) {
		return errRoomName
	}
	*n = RoomName(text)
	return nil
}

// Text is the text of a message that a user types.
type Text string

// UnmarshalText removes the space around a text. It returns errText if the text is empty or too
// long, or has characters that would change how the page shows other texts.
func (t *Text) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	forbidden := func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r)
	}
	if text == "" || utf8.RuneCountInString(text) > 1000 || strings.ContainsFunc(text, forbidden) {
		return errText
	}
	*t = Text(text)
	return nil
}

// Draft is a message that is not sent yet.
type Draft struct {
	// Chosen by the page. A message that is sent twice is stored once.
	ID   string `json:"id" validate:"required,max=40"`
	Text Text   `json:"text"`
}

// SayIn is a message to a room.
type SayIn struct {
	Draft
	Room string `json:"room"`
}

// TellIn is a message to a user.
type TellIn struct {
	Draft
	// The user's name.
	To string `json:"to"`
}

// Message is a message to a room or to a user.
type Message struct {
	ID   string `json:"id"`
	From User   `json:"from"`
	Text string `json:"text"`
	// The node that received it.
	Node string `json:"node"`
	// Unix milliseconds.
	At int64 `json:"at"`
}

// RoomMessage is a message to a room.
type RoomMessage struct {
	Message
	Room string `json:"room"`
	// Counts the messages of the room from 1, without gaps.
	Number int `json:"number"`
}

// PrivateMessage is a message to a user. It is not stored.
type PrivateMessage struct {
	Message
	To User `json:"to"`
}

// User is a user of the chat.
type User struct {
	// The name in lower case, so "Ada" and "ada" are the same user.
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Person is a user in a room.
type Person struct {
	User
	// The nodes that the user's tabs are connected to.
	Nodes []string `json:"nodes"`
}

// Greeting has the user of the page, and the node that the page is connected to.
type Greeting struct {
	Me   User   `json:"me"`
	Node string `json:"node"`
}

// TypingUser is a user, and the room that the user is writing in.
type TypingUser struct {
	contract.Tuple
	Room string
	User User
}

// EndReason says why a session has ended.
type EndReason string

// The reasons.
const (
	Expired   EndReason = "expired"
	LoggedOut EndReason = "logged out"
)

// Values returns all reasons.
func (EndReason) Values() []EndReason { return []EndReason{Expired, LoggedOut} }
