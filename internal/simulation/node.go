package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// node is one process of the cluster. After a crash, another node takes its number.
type node struct {
	number       int
	cluster      *Cluster
	link         *link
	sessions     *fibersession.Store
	io           *socketbridge.Server
	serve        fasthttp.RequestHandler
	leavesOldIDs bool // OnRegenerate disconnects
}

// newNode starts a node.
func (c *Cluster) newNode(number int) *node {
	c.nodesStarted++
	n := &node{number: number, cluster: c, link: newLink(c.db, mix(c.cfg.Seed)^mix(c.nodesStarted)), leavesOldIDs: c.cfg.Seed%2 == 1}
	silent := slog.New(slog.DiscardHandler)
	freshness := fibersession.Strict
	if c.oracle.tracked {
		freshness = fibersession.Tracked
	}
	n.sessions = fibersession.New(fibersession.Config{
		Storage: n.link, Expiration: idleLimit, UserKey: "user", Freshness: freshness,
		Tracking: fibersession.Tracking{MaxLag: maxLag, Recheck: recheck},
		Timeouts: fibersession.Timeouts{Absolute: absoluteLimit, TouchInterval: touchInterval, Storage: callTimeout},
		Logger:   silent,
	})
	cfg := socketbridge.Config{
		Sessions: n.sessions, Adapter: c.hub.Join(), Logger: silent,
		Engine: engineio.Config{PingInterval: 5 * time.Minute, Limits: engineio.Limits{MaxConnsPerIP: -1, ConnRatePerIP: -1}},
	}
	cfg.Trace.Handled = func(p *socketbridge.Packet, _ error) {
		if cl, ok := p.Local("call").(*call); ok {
			c.oracle.handled(cl)
		}
	}
	if n.leavesOldIDs {
		cfg.OnRegenerate = func(*socketbridge.Socket) socketbridge.Action {
			time.Sleep(2 * time.Millisecond) // as on a busy node: the session's other sockets are told later
			return socketbridge.ActionDisconnect
		}
	}
	n.io = socketbridge.New(cfg)
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(n.sessions.Handler())
	app.Use(n.io.Handler())
	n.routes(app)
	n.events()
	n.serve = app.Handler()
	return n
}

// stop shuts the node down: gracefully, or as a crash, which loses what is in memory.
func (n *node) stop(crashed bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if crashed {
		n.link.crash()
		cancel()
	}
	err := n.io.Shutdown(ctx)
	if crashed { // its handlers end soon, because every call of the storage fails
		again, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		err = n.io.Shutdown(again)
	}
	if closeErr := n.sessions.Close(); err == nil {
		err = closeErr
	}
	return err
}

// do hands a request to the node's app. It returns status 0 if the node has crashed.
func (n *node) do(method, uri, session, body string, op int) *fasthttp.Response {
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.SetRequestURI(uri)
	req.Header.SetHost("example.com")
	req.Header.Set("X-Op", strconv.Itoa(op))
	if session != "" {
		req.Header.SetCookie(cookieName, session)
	}
	if body != "" {
		req.Header.SetContentType("text/plain;charset=UTF-8")
		req.SetBodyString(body)
	}
	var ctx fasthttp.RequestCtx
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234}, nil)
	n.serve(&ctx)
	return &ctx.Response
}

const cookieName = "session"

// newCookie returns the session cookie that a response sets; "" removes it. It reports whether
// there is one.
func newCookie(res *fasthttp.Response) (id string, set bool) {
	for key, value := range res.Header.Cookies() {
		var c fasthttp.Cookie
		if string(key) == cookieName && c.ParseBytes(value) == nil {
			id, set = string(c.Value()), true
		}
	}
	return id, set
}

// routes adds the pages: one for each kind of request.
func (n *node) routes(app *fiber.App) {
	app.Get("/:what", func(c *fiber.Ctx) error {
		number, _ := strconv.Atoi(c.Get("X-Op"))
		cl := n.cluster.oracle.call(number)
		sess := fibersession.FromContext(c)
		if cl == nil {
			return fiber.ErrTeapot
		}
		if err := sess.Err(); err != nil {
			return err
		}
		n.cluster.oracle.observe(cl, viewOf(sess, sess.Fresh(), sess.User(), sess.Pseudonym("sim")))
		n.cluster.oracle.changes(cl)
		switch cl.Kind {
		case httpSet:
			sess.Set(cl.key(), cl.value())
		case httpSlow:
			sess.Set(cl.key(), cl.value())
			time.Sleep(time.Duration(cl.Arg % uint64(300*time.Millisecond)))
		case httpIncr:
			_, err := sess.Incr("n", 1)
			return err
		case httpMove:
			return sess.Update(move)
		case httpLogin:
			return sess.Login(cl.user())
		case httpLogout:
			return sess.Logout()
		case httpRenew:
			return sess.Regenerate()
		case httpEnd:
			return sess.Destroy()
		}
		return nil
	})
}

// move is an Update that moves 1 from one value to another.
func move(tx *fibersession.Tx) error {
	tx.Set("a", number(tx, "a")-1)
	tx.Set("b", number(tx, "b")+1)
	return nil
}

func number(g fibersession.Getter, key string) int {
	n, _ := fibersession.Value[int](g, key)
	return n
}

func viewOf(g fibersession.Getter, fresh bool, user, name string) view {
	v := view{name: name, fresh: fresh, user: user, values: map[string]string{}, n: number(g, "n"), a: number(g, "a"), b: number(g, "b")}
	for i := range valueKeys {
		key := fmt.Sprint("w", i)
		v.values[key], _ = g.Get(key).(string)
	}
	return v
}
