package fibersession_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
)

func Example() {
	sessions := fibersession.New(fibersession.Config{
		Storage: storage.MustOpen("memory://"),
	})
	app := fiber.New()
	app.Use(sessions.Handler())

	app.Post("/login", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if err := sess.Regenerate(); err != nil { // the old ID may be known to others
			return err
		}
		sess.Set("user", c.FormValue("user"))
		return nil // Handler saves
	})
	app.Post("/buy", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Update(func(tx *fibersession.Tx) error {
			credit, err := fibersession.Value[int](tx, "credit")
			if err != nil {
				return err
			}
			if credit < 10 {
				return fiber.ErrPaymentRequired
			}
			tx.Set("credit", credit-10)
			return nil
		})
	})
	app.Post("/logout", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Destroy()
	})
}

// A handle outlives its request. Use it for a socket or for work in the background.
func ExampleStore_Lift() {
	sessions := fibersession.New()
	app := fiber.New()
	app.Post("/report", func(c *fiber.Ctx) error {
		sess, err := sessions.Lift(c)
		if err != nil {
			return err
		}
		go func() { // ends with the report
			defer sess.Release()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			sess.Set("report", "ready")
			if err := sess.Save(ctx); errors.Is(err, fibersession.ErrSessionGone) {
				return // the user logged out meanwhile
			}
		}()
		return c.SendStatus(fiber.StatusAccepted)
	})
}

func ExampleHandle_Watch() {
	sessions := fibersession.New()
	app := fiber.New()
	app.Get("/watch", func(c *fiber.Ctx) error {
		sess, err := sessions.Lift(c)
		if err != nil {
			return err
		}
		stop := sess.Watch(func(e fibersession.Event) {
			switch e.Kind {
			case fibersession.Changed:
				fmt.Println("changed:", e.Keys)
			case fibersession.Ended:
				fmt.Println("ended:", e.Cause)
			}
		})
		defer sess.Release()
		defer stop()
		return c.SendString("...")
	})
}

func ExampleValue() {
	app := fiber.New()
	app.Use(fibersession.New().Handler())
	app.Get("/", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		visits, err := fibersession.Value[int](sess, "visits") // 0 the first time
		if err != nil {
			return err // another type is there, or the session cannot be read
		}
		since, ok, err := fibersession.Lookup[time.Time](sess, "since")
		if err != nil {
			return err
		}
		if ok {
			return c.SendString(fmt.Sprint(visits, " visits since ", since))
		}
		sess.Set("since", time.Now())
		return nil
	})
}
