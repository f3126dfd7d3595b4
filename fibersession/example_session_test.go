package fibersession_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/csrf"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// Login gives the session a new ID before it sets the user.
func ExampleSession_Login() {
	sessions := fibersession.New(fibersession.Config{UserKey: "user"})
	app := fiber.New()
	app.Use(sessions.Handler())
	app.Post("/login", func(c *fiber.Ctx) error {
		name := c.FormValue("name") // after checking the password
		if err := fibersession.FromContext(c).Login(name); err != nil {
			return err
		}
		return c.SendStatus(fiber.StatusNoContent)
	})
	app.Get("/me", func(c *fiber.Ctx) error {
		return c.SendString(fibersession.FromContext(c).User()) // "" for a visitor
	})
}

// Update is for values that depend on each other: no concurrent request, socket or node
// can spend the same credit twice.
func ExampleSession_Update() {
	sessions := fibersession.New()
	app := fiber.New()
	app.Use(sessions.Handler())
	app.Post("/buy", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Update(func(tx *fibersession.Tx) error {
			credit, err := fibersession.Value[int](tx, "credit")
			if err != nil {
				return err // stores nothing
			}
			items, err := fibersession.Value[[]string](tx, "items")
			if err != nil {
				return err
			}
			if credit < 10 {
				return fiber.ErrPaymentRequired
			}
			tx.Set("credit", credit-10)
			tx.Set("items", append(items, "hat"))
			return nil
		})
	})
}

// Concurrent calls of Incr all count.
func ExampleSession_Incr() {
	sessions := fibersession.New()
	app := fiber.New()
	app.Use(sessions.Handler())
	app.Post("/visit", func(c *fiber.Ctx) error {
		visits, err := fibersession.FromContext(c).Incr("visits", 1)
		if err != nil {
			return err
		}
		return c.SendString(fmt.Sprint("visit ", visits))
	})
}

// A page on which users see where they are logged in, and can end those sessions.
func ExampleSession_Devices() {
	sessions := fibersession.New(fibersession.Config{UserKey: "user"})
	app := fiber.New()
	app.Use(sessions.Handler())
	app.Get("/devices", func(c *fiber.Ctx) error {
		devices, err := fibersession.FromContext(c).Devices()
		if err != nil {
			return err
		}
		return c.JSON(devices) // Device.Current marks this session
	})
	app.Delete("/devices/:id", func(c *fiber.Ctx) error {
		err := fibersession.FromContext(c).EndDevice(c.Params("id"))
		if errors.Is(err, fibersession.ErrNotFound) {
			return fiber.ErrNotFound
		}
		return err
	})
}

// After a password change, log the user out everywhere.
func ExampleStore_EndAll() {
	sessions := fibersession.New(fibersession.Config{UserKey: "user"})
	changePassword := func(ctx context.Context, user string) error {
		// ... store the new password, then:
		ended, err := sessions.EndAll(ctx, user)
		if err != nil {
			return err // some sessions may still exist: try again
		}
		fmt.Println("ended sessions:", ended)
		return nil
	}
	_ = changePassword
}

// After a change of role, all sessions of the user and their open sockets have the new one,
// on every node. No one has to log in again.
func ExampleStore_UpdateUser() {
	sessions := fibersession.New(fibersession.Config{UserKey: "user"})
	setRole := func(ctx context.Context, user, role string) error {
		// ... store the new role where logins read it, then:
		changed, err := sessions.UpdateUser(ctx, user, func(tx *fibersession.Tx) error {
			tx.Set("role", role)
			return nil
		})
		if err != nil {
			return err // some sessions still have the old role: try again
		}
		fmt.Println("changed sessions:", changed)
		return nil
	}
	_ = setRole
}

// A page on another site gets a ticket and connects with it instead of a cookie.
func ExampleStore_Ticket() {
	sessions := fibersession.New()
	app := fiber.New()
	app.Use(sessions.Handler())
	app.Post("/ticket", func(c *fiber.Ctx) error {
		ticket, err := sessions.Ticket(c, "https://app.example.com")
		if errors.Is(err, fibersession.ErrTicketSession) {
			return fiber.ErrUnauthorized // the visitor has no session
		}
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderCacheControl, "no-store")
		return c.SendString(ticket)
	})
}

// Background work uses a session by its ID.
func ExampleStore_GetByID() {
	sessions := fibersession.New()
	notify := func(ctx context.Context, id string) error {
		sess, err := sessions.GetByID(ctx, id)
		if errors.Is(err, fibersession.ErrNotFound) {
			return nil // the session has ended
		}
		if err != nil {
			return err
		}
		defer sess.Release()
		sess.Set("notice", "Your report is ready.")
		return sess.Save(ctx)
	}
	_ = notify
}

// Browsers send the cookie, other clients a bearer token.
func ExampleChain() {
	bearer := fibersession.FromCustom(func(c *fiber.Ctx) (string, error) {
		id, _ := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")
		return id, nil
	})
	sessions := fibersession.New(fibersession.Config{
		Extractor: fibersession.Chain(fibersession.FromCookie(""), bearer),
	})
	app := fiber.New()
	app.Use(sessions.Handler())
}

// The ID comes in a header, and a response carries a new ID in the same header.
func ExampleExtractor() {
	sessions := fibersession.New(fibersession.Config{
		Extractor: fibersession.FromHeader("X-Session"),
	})
	app := fiber.New()
	app.Use(sessions.Handler())
}

// A middleware that takes a session.Store of Fiber uses the same sessions.
func ExampleStore_Fiber() {
	sessions := fibersession.New()
	app := fiber.New()
	app.Use(sessions.Handler())
	app.Use(csrf.New(csrf.Config{Session: sessions.Fiber(), KeyLookup: "form:csrf"}))
}
