package main

import (
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// dashboard serves the page for users who are logged in. The page contains no data: it
// requests everything over its socket.
func (s *server) dashboard(c *fiber.Ctx) error {
	sess := fibersession.FromContext(c)
	id := sess.User()
	if id == "" {
		return c.Redirect("/login", fiber.StatusSeeOther)
	}
	_, err := s.users.ByID(c.UserContext(), id)
	if errors.Is(err, errNoUser) { // the session is older than the database
		if err := sess.Destroy(); err != nil {
			return err
		}
		return c.Redirect("/login", fiber.StatusSeeOther)
	}
	if err != nil {
		return err
	}
	return s.renderForm(c, "dashboard", view{})
}

func (s *server) loginPage(c *fiber.Ctx) error {
	v := view{Form: "login"}
	switch c.Query("ended") {
	case "":
	case "expired":
		v.Notice = "You were inactive for too long and have been logged out."
	default:
		v.Notice = "You have been logged out."
	}
	return s.authPage(c, v)
}

func (s *server) signUpPage(c *fiber.Ctx) error { return s.authPage(c, view{Form: "signup"}) }

// authPage shows the login or sign-up form, unless the visitor is logged in.
func (s *server) authPage(c *fiber.Ctx, v view) error {
	if fibersession.FromContext(c).User() != "" {
		return c.Redirect("/", fiber.StatusSeeOther)
	}
	return s.renderForm(c, "auth", v)
}

// logIn counts the attempt before it checks the password, so that concurrent attempts
// count too. A successful login resets the count of the name.
func (s *server) logIn(c *fiber.Ctx) error {
	login, from := normalLogin(c.FormValue("login")), network(s.io.Engine().RemoteIP(c))
	again := view{Form: "login", Login: login}
	key := login + "\x00" + from
	if len(login) > 20 {
		return s.rejectForm(c, again, ErrCredentials)
	}
	if !s.loginsPerNetwork.Allow(from) || !s.loginsPerName.Allow(key) {
		return s.rejectForm(c, again, ErrTooMany)
	}
	user, err := s.users.LogIn(c.UserContext(), login, c.FormValue("password"))
	if err != nil {
		return s.rejectForm(c, again, err)
	}
	s.loginsPerName.Reset(key)
	return s.startSession(c, user)
}

func (s *server) signUp(c *fiber.Ctx) error {
	again := view{Form: "signup", Login: c.FormValue("login"), Name: c.FormValue("name")}
	if !s.signUpsPerNetwork.Allow(network(s.io.Engine().RemoteIP(c))) {
		return s.rejectForm(c, again, ErrTooMany)
	}
	user, err := s.users.SignUp(c.UserContext(), again.Login, again.Name, c.FormValue("password"))
	if err != nil {
		return s.rejectForm(c, again, err)
	}
	return s.startSession(c, user)
}

// rejectForm shows the form again with the problem. An error that is not a *Problem is
// returned to the app's error handler.
func (s *server) rejectForm(c *fiber.Ctx, v view, err error) error {
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
	return s.renderForm(c.Status(status), "auth", v)
}

// startSession logs the user in. The session gets a new ID, so a client that knows the
// old one is not logged in, and with it its forms get a new CSRF token.
func (s *server) startSession(c *fiber.Ctx, user User) error {
	sess := fibersession.FromContext(c)
	if sess.User() != "" { // another user was logged in: end that session and its tabs
		if err := sess.Reset(); err != nil {
			return err
		}
	}
	if err := sess.Login(user.ID); err != nil {
		return err
	}
	sess.SetExpiry(userIdle)
	return c.Redirect("/", fiber.StatusSeeOther)
}

// logOut ends this browser's session and disconnects all of its tabs.
func (s *server) logOut(c *fiber.Ctx) error {
	sess := fibersession.FromContext(c)
	user := sess.User()
	if err := sess.Destroy(); err != nil {
		return err
	}
	if user != "" {
		s.notifyChanged("devices", user)
	}
	return c.Redirect("/login?ended=logged+out", fiber.StatusSeeOther)
}

// logOutEverywhere ends all sessions of the user and disconnects their sockets.
func (s *server) logOutEverywhere(c *fiber.Ctx) error {
	sess := fibersession.FromContext(c)
	if user := sess.User(); user != "" {
		if _, err := s.sessions.EndAll(c.UserContext(), user); err != nil {
			return err
		}
	}
	if err := sess.Destroy(); err != nil { // also removes the cookie
		return err
	}
	return c.Redirect("/login?ended=logged+out", fiber.StatusSeeOther)
}
