package main

import (
	"encoding/gob"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/google/uuid"
)

type user struct {
	Name  string
	Roles []string
	Since time.Time
}

type profile struct {
	User   *user
	Tags   map[string]int
	Extra  any
	Hidden *string
}

type (
	userID int64
	role   string
)

// account is registered with gob itself, in the init function of an app.
type account struct{ Number int }

// unregistered is a type that the app forgot to register.
type unregistered struct{ Name string }

var (
	since  = time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.FixedZone("", 2*60*60))
	alice  = user{Name: "alice", Roles: []string{"admin", "editor"}, Since: since}
	fixed  = uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	visits = []time.Time{since, since.Add(time.Hour).UTC()}
)

// loginScript logs in, reads the value on two later requests and logs out.
const loginScript = `
	GET /me
	POST /login
	GET /me
	GET /me
	POST /logout
	GET /me`

// addLogin adds an app that stores value under "user" at login.
func addLogin(name string, register func(*session.Store), value any) {
	add("login-"+name, loginScript, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		if register != nil {
			register(store)
		}
		app.Post("/login", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set("user", value)
			if err := sess.Save(); err != nil {
				return c.Status(fiber.StatusInternalServerError).SendString("cannot log in")
			}
			return c.SendString("logged in")
		})
		addMe(app, store)
		app.Post("/logout", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			if err := sess.Destroy(); err != nil {
				return err
			}
			return c.Redirect("/me", fiber.StatusSeeOther)
		})
		return store
	})
}

// addMe adds the page that shows the logged-in user.
func addMe(app *fiber.App, store *session.Store) {
	app.Get("/me", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		who := sess.Get("user")
		if who == nil {
			return c.Status(fiber.StatusUnauthorized).SendString("who are you?")
		}
		return c.SendString("hello " + describe(who))
	})
}

func init() {
	registered := func(values ...any) func(*session.Store) {
		return func(store *session.Store) {
			for _, v := range values {
				store.RegisterType(v)
			}
		}
	}
	addLogin("string", nil, "alice")
	addLogin("int", nil, 42)
	addLogin("struct", registered(user{}), alice)
	addLogin("pointer", registered(user{}), &alice)
	addLogin("slice", nil, []string{"alice", "admin"})
	addLogin("slice-of-structs", registered([]user{}), []user{alice, {Name: "bob"}})
	addLogin("slice-of-any", registered([]any{}, user{}), []any{"alice", 7, alice, 1.5})
	addLogin("slice-empty", nil, []string{})
	addLogin("map", registered(map[string]string{}), map[string]string{"name": "alice"})
	addLogin("map-of-any", registered(map[string]any{}), map[string]any{"name": "alice", "age": 30, "tall": true, "score": 20.0})
	addLogin("fiber-map", registered(fiber.Map{}), fiber.Map{"name": "alice", "n": int64(5)})
	addLogin("map-of-ints", registered(map[int]bool{}), map[int]bool{1: true, 9: false})
	addLogin("uuid", registered(uuid.UUID{}), fixed)
	addLogin("time", registered(time.Time{}), since)
	addLogin("time-utc", registered(time.Time{}), since.UTC())
	addLogin("times", registered([]time.Time{}), visits)
	addLogin("duration", registered(time.Duration(0)), 90*time.Minute)
	addLogin("named-int", registered(userID(0)), userID(7))
	addLogin("named-string", registered(role("")), role("admin"))
	addLogin("nested", registered(profile{}, user{}), profile{User: &alice, Tags: map[string]int{"a": 1}, Extra: alice})
	addLogin("gob", func(*session.Store) { gob.Register(account{}) }, account{Number: 7})
	addLogin("unregistered", nil, unregistered{Name: "alice"})
	addLogin("fiber-map-unregistered", nil, map[string]chan int{"a": nil})
}

// A pointer type can be registered, and comes back as a pointer.
type member struct{ Name string }

type pair struct{ A, B float64 }

func init() {
	addLogin("pointer-registered", func(store *session.Store) { store.RegisterType(&member{}) }, &member{Name: "alice"})
	addLogin("array", func(store *session.Store) { store.RegisterType([2]pair{}) }, [2]pair{{1, 2}, {3, 4}})

	add("types", `
		POST /set
		GET /get
		POST /set
		GET /get`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		values := map[string]any{
			"bool": true, "string": "str", "int": 13, "int8": int8(-8), "int16": int16(16), "int32": int32(32), "int64": int64(1 << 60),
			"uint": uint(13), "uint8": uint8(8), "uint16": uint16(16), "uint32": uint32(32), "uint64": uint64(1<<64 - 1), "uintptr": uintptr(13),
			"float32": float32(1.5), "float64": 20.0, "complex64": complex64(1 + 2i), "complex128": 3 + 4i,
			"bytes": []byte{0, 1, 255}, "ints": []int{1, 2}, "floats": []float64{1, 2.5}, "bools": []bool{true, false},
			"empty": "", "zero": 0, "false": false, "unicode": "héllo\x00\xff",
		}
		app.Post("/set", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			for key, v := range values {
				sess.Set(key, v)
			}
			return sess.Save()
		})
		app.Get("/get", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			n, ok := sess.Get("uint64").(uint64)
			f, isFloat := sess.Get("float64").(float64)
			return c.JSON([]any{n, ok, f, isFloat})
		})
		return store
	})
}
