package adminui_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adminui"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(nodetest.Share(m), // goroutines that other packages start for the whole process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // it ends some seconds after its server
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2.New.StartTimeStampUpdater.func1.1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2/internal.StartTimeStampUpdater.func1.1"))
}

// site is an app with sessions, Socket.IO, the admin namespace and the UI's files.
type site struct {
	url string
	io  *socketbridge.Server
	ui  *adminui.UI
	log *testlog.Log
}

type options struct {
	storage string // with redis://, the site is a node of a cluster
	admin   adminui.Config
	bridge  socketbridge.Config
	bare    bool // the sockets share no session
}

const password = "changeit"

// hashed is the bcrypt hash of password.
func hashed(t testing.TB) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// withPassword is the auth option of the UI's login form.
var withPassword = map[string]any{"username": "admin", "password": password}

func newSite(t testing.TB, o options) *site {
	t.Helper()
	if o.storage == "" {
		o.storage = "memory://"
	}
	store, err := storage.Open(o.storage)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{log: &testlog.Log{}}
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	sessions := fibersession.New(fibersession.Config{Storage: store, UserKey: "user", Logger: logger})
	o.bridge.Sessions, o.bridge.Logger, o.admin.Logger = sessions, logger, logger
	if o.bare {
		o.bridge.Sessions = nil
	}
	if strings.HasPrefix(o.storage, "redis") {
		o.bridge.Adapter = redisadapter.For(store)
	}
	s.io = socketbridge.New(o.bridge)
	s.io.OnConnection(func(c *socketbridge.Socket) {
		var auth struct {
			Rooms []string `json:"rooms"`
		}
		_ = c.Auth(&auth)
		if err := c.Join(auth.Rooms...); err != nil {
			t.Error(err)
		}
		_ = c.Data().Share("profile", map[string]any{"name": "Ada"})
		c.Data().Set("private", struct{ Secret string }{"SECRET"})
		_ = c.Emit("ready")
	})
	s.io.On("chat", func(p *socketbridge.Packet) error {
		_ = p.Socket().Emit("reply", "SECRET answer")
		return p.Ack("ok")
	})
	s.io.Of("/other")
	s.ui = adminui.Instrument(s.io, o.admin)

	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute})
	s.io.LimitBodies(app)
	app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond
	files := os.DirFS(filepath.Join(nodetest.Dir(t), "node_modules", "@socket.io", "admin-ui", "ui", "dist"))
	app.Get("/ui/*", func(c *fiber.Ctx) error { // app.Static leaves a goroutine behind
		text, err := fs.ReadFile(files, c.Params("*"))
		c.Type(filepath.Ext(c.Params("*")))
		if err != nil {
			return fiber.ErrNotFound
		}
		return c.Send(text)
	})
	app.Use(sessions.Handler(), s.io.Handler())
	app.Get("/login/:role", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Login(c.Params("role"))
	})
	app.Get("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	app.Get("/demote", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("demoted", true); return nil })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }() // received at the end of the test
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(s.io.Shutdown(ctx), app.ShutdownWithContext(ctx), <-served, sessions.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect opens a page's connection to the admin namespace.
func connect(t testing.TB, n *nodetest.Node, url string, auth any) *nodetest.Client {
	t.Helper()
	return n.Connect(t, url+"/admin", nodetest.Options{Auth: auth, Transports: []string{"websocket"}})
}

// socket is a socket as all_sockets and socket_connected have it.
type socket struct {
	ID        string         `json:"id"`
	ClientID  string         `json:"clientId"`
	Transport string         `json:"transport"`
	Nsp       string         `json:"nsp"`
	Data      map[string]any `json:"data"`
	Handshake struct {
		Headers map[string]string `json:"headers"`
	} `json:"handshake"`
	Rooms []string `json:"rooms"`
}

func bind[T any](t testing.TB, args nodetest.Args) T {
	t.Helper()
	var v T
	args.Bind(t, &v)
	return v
}

// until reads events until one fits.
func until[T any](t testing.TB, c *nodetest.Client, event string, fits func(T) bool) T {
	t.Helper()
	for {
		if v := bind[T](t, c.MustNext(event)); fits(v) {
			return v
		}
	}
}

// texts returns the arguments of an event that are strings, such as a room_joined.
func texts(args nodetest.Args) []string {
	var all []string
	for _, arg := range args {
		var s string
		if json.Unmarshal(arg, &s) == nil {
			all = append(all, s)
		}
	}
	return all
}
