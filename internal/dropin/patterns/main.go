// Command patterns serves small apps that use sessions the way public Fiber apps do. It is
// written for Fiber's own middleware/session. The tests build it twice: as it is, and with the
// import line changed.
//
// It prints one line of JSON per app, with its addresses, and ends when its standard input is
// closed.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	recovery "github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// A pattern is one app and the requests that a visitor makes to it.
type pattern struct {
	name string
	// script is one step per line. See the package's tests for the language.
	script string
	// alone keeps the app out of the process of the other apps, because it changes globals.
	alone bool
	build func(app *fiber.App, e env) *session.Store
}

var patterns []pattern

// add registers a pattern. The files of this package call it from init.
func add(name, script string, build func(app *fiber.App, e env) *session.Store) {
	patterns = append(patterns, pattern{name: name, script: script, build: build})
}

// addAlone is add for a pattern that needs its own process.
func addAlone(name, script string, build func(app *fiber.App, e env) *session.Store) {
	patterns = append(patterns, pattern{name: name, script: script, alone: true, build: build})
}

// served describes a running app to the tests.
type served struct {
	Name, Script string
	Alone        bool
	HTTP, HTTPS  string // addresses
	Refused      string // why the app did not start
}

func main() {
	list := flag.Bool("list", false, "print the patterns and exit")
	names := flag.String("run", "", "the patterns to serve, separated by commas")
	kind := flag.String("storage", "default", "default, driver or own")
	redis := flag.String("redis", "", "host:port of a Redis server with a database for each pattern")
	flag.Parse()
	slices.SortFunc(patterns, func(a, b pattern) int { return strings.Compare(a.name, b.name) })
	out := json.NewEncoder(os.Stdout)
	for i, p := range patterns {
		s := served{Name: p.name, Script: p.script, Alone: p.alone}
		if !*list {
			if !slices.Contains(strings.Split(*names, ","), p.name) {
				continue
			}
			serve(&s, p, env{kind: *kind, redis: *redis, database: i})
		}
		if err := out.Encode(s); err != nil {
			log.Fatal(err)
		}
	}
	if !*list {
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// serve starts the app of p over http and https and records the addresses in s.
func serve(s *served, p pattern, e env) {
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		// The tests' proxy that terminates TLS connects from this machine.
		EnableTrustedProxyCheck: true,
		TrustedProxies:          []string{"127.0.0.1"},
	})
	app.Use(recovery.New())
	var store *session.Store
	app.Get("/dump", func(c *fiber.Ctx) error { return dump(c, store) })
	if s.Refused = try(func() { store = p.build(app, e) }); s.Refused != "" {
		return
	}
	plain, secure := listen(), listen()
	s.HTTP, s.HTTPS = plain.Addr().String(), secure.Addr().String()
	secure = tls.NewListener(secure, &tls.Config{Certificates: []tls.Certificate{selfSigned()}, MinVersion: tls.VersionTLS12})
	for _, ln := range []net.Listener{plain, secure} {
		go func() { // ends with the process
			if err := app.Listener(ln); err != nil {
				log.Print(err)
			}
		}()
	}
}

// try returns what fn panics with, or "".
func try(fn func()) (refused string) {
	defer func() {
		if r := recover(); r != nil {
			refused = fmt.Sprint(r)
		}
	}()
	fn()
	return ""
}

func listen() net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return ln
}
