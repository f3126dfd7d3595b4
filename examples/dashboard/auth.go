package main

import (
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// dashboard is the page behind the door. It holds no data: that comes over the socket.
func (s *site) dashboard(c *fiber.Ctx) error {
	sess := fibersession.FromContext(c)
	id := sess.User()
	if id == "" {
		return c.Redirect("/login", fiber.StatusSeeOther)
	}
	_, err := s.users.ByID(c.UserContext(), id)
	if errors.Is(err, errNoUser) { // the database is a new one
		if err := sess.Destroy(); err != nil {
			return err
		}
		return c.Redirect("/login", fiber.StatusSeeOther)
	}
	if err != nil {
		return err
	}
	return s.show(c, "dashboard", view{})
}

func (s *site) loginPage(c *fiber.Ctx) error {
	v := view{Form: "login"}
	switch c.Query("ended") {
	case "":
	case "expired":
		v.Notice = "You were away for long, so you have been logged out."
	default:
		v.Notice = "You have been logged out."
	}
	return s.door(c, v)
}

func (s *site) signUpPage(c *fiber.Ctx) error { return s.door(c, view{Form: "signup"}) }

// door shows the way in, to who is not in already.
func (s *site) door(c *fiber.Ctx, v view) error {
	if fibersession.FromContext(c).User() != "" {
		return c.Redirect("/", fiber.StatusSeeOther)
	}
	return s.show(c, "door", v)
}

// logIn counts an attempt before it is made, so that attempts at the same moment
// count too, and forgets those of the name when one succeeds.
func (s *site) logIn(c *fiber.Ctx) error {
	login, from := normalLogin(c.FormValue("login")), network(c.IP())
	again := view{Form: "login", Login: login}
	key := login + "\x00" + from
	if len(login) > 20 {
		return s.refuse(c, again, ErrCredentials)
	}
	if !s.perNet.Take(from) || !s.perUser.Take(key) {
		return s.refuse(c, again, ErrTooMany)
	}
	user, err := s.users.LogIn(c.UserContext(), login, c.FormValue("password"))
	if err != nil {
		return s.refuse(c, again, err)
	}
	s.perUser.Forget(key)
	return s.signIn(c, user)
}

func (s *site) signUp(c *fiber.Ctx) error {
	again := view{Form: "signup", Login: c.FormValue("login"), Name: c.FormValue("name")}
	if !s.signUps.Take(network(c.IP())) {
		return s.refuse(c, again, ErrTooMany)
	}
	user, err := s.users.SignUp(c.UserContext(), again.Login, again.Name, c.FormValue("password"))
	if err != nil {
		return s.refuse(c, again, err)
	}
	return s.signIn(c, user)
}

// refuse shows the form again, with what to mend.
func (s *site) refuse(c *fiber.Ctx, v view, err error) error {
	if !errors.As(err, &v.Problem) {
		return err
	}
	status := map[*Problem]int{
		ErrCredentials: fiber.StatusUnauthorized,
		ErrTooMany:     fiber.StatusTooManyRequests,
		ErrBusy:        fiber.StatusServiceUnavailable,
	}[v.Problem]
	if status == 0 {
		status = fiber.StatusUnprocessableEntity
	}
	return s.show(c.Status(status), "door", v)
}

// signIn makes the visitor's session that of the user: it gets a new ID, so that
// nobody who knew the old one is signed in too, and its forms get a new token.
func (s *site) signIn(c *fiber.Ctx, user User) error {
	sess := fibersession.FromContext(c)
	if sess.User() != "" { // somebody was signed in here: their tabs end
		if err := sess.Reset(); err != nil {
			return err
		}
	}
	if err := sess.Login(user.ID); err != nil {
		return err
	}
	sess.SetExpiry(memberIdle)
	sess.Delete(csrfKey)
	return c.Redirect("/", fiber.StatusSeeOther)
}

// logOut ends this browser's session: all its tabs end at once, over their sockets.
func (s *site) logOut(c *fiber.Ctx) error {
	sess := fibersession.FromContext(c)
	user := sess.User()
	if err := sess.Destroy(); err != nil {
		return err
	}
	if user != "" {
		s.changed("devices", user)
	}
	return c.Redirect("/login?ended=logged+out", fiber.StatusSeeOther)
}

// logOutEverywhere ends all sessions of the user, and all their sockets with them.
func (s *site) logOutEverywhere(c *fiber.Ctx) error {
	sess := fibersession.FromContext(c)
	if user := sess.User(); user != "" {
		if _, err := s.sessions.EndAll(c.UserContext(), user); err != nil {
			return err
		}
	}
	if err := sess.Destroy(); err != nil { // which takes the cookie away
		return err
	}
	return c.Redirect("/login?ended=logged+out", fiber.StatusSeeOther)
}
