package socketbridge_test

import (
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

func TestC6_StoreSwappedByOneValue(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) { // only the URL differs
		s := newSite(t, options{storage: url}).counter().serve()
		a := s.agent()
		equal(t, "count over HTTP", a.post("/incr"), "1")
		equal(t, "count over the socket", call(t, a.connect(n, "/", nodetest.Options{}), "incr"), "2")
		equal(t, "count over HTTP", a.post("/incr"), "3")
	})
}

func TestE2_StorageSwappedByConfig(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	own := &plainStorage{}
	s := newSite(t, options{sessions: fibersession.Config{Storage: own}}).counter().serve() // any fiber.Storage
	a := s.agent()
	equal(t, "count over HTTP", a.post("/incr"), "1")
	equal(t, "count over the socket", call(t, a.connect(n, "/", nodetest.Options{}), "incr"), "2")
	equal(t, "count over HTTP", a.post("/incr"), "3")
	if own.len() == 0 {
		t.Error("the configured storage is empty, want the session in it")
	}
}

// N15: two apps with the same users and room names share a Redis without interfering.
func TestN15_TwoAppsSideBySide(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	url := redistest.Start(t).URL()
	app := func(prefix string) *site {
		o := withUsers(url)
		o.sessions.Prefix = prefix
		s := newSite(t, o).users()
		s.io.OnConnection(func(sock *socketbridge.Socket) { _ = sock.Join("lobby") })
		s.app.Post("/lobby", func(c *fiber.Ctx) error { return s.io.To("lobby").Emit("lobby", prefix) })
		s.app.Post("/reset", func(c *fiber.Ctx) error { return s.sessions.Reset() })
		return s.serve()
	}
	shop, blog := app("shop:"), app("blog:")
	customer, author := shop.loggedIn("ann"), blog.loggedIn("ann")
	inShop, inBlog := customer.connect(n, "/", nodetest.Options{}), author.connect(n, "/", nodetest.Options{})

	customer.post("/lobby")
	customer.post("/notify/ann")
	equal(t, "lobby event in the shop", inShop.MustNext("lobby").String(), `["shop:"]`)
	equal(t, "user event in the shop", inShop.MustNext("notified").String(), `["ann"]`)
	customer.post("/end-all/ann")
	waitForLogout(t, "the shop", inShop)
	equal(t, "user in the blog", call(t, inBlog, "whoami"), `"ann"`)

	again := shop.loggedIn("ann")
	inShop = again.connect(n, "/", nodetest.Options{})
	again.post("/reset")
	inShop.Emit("whoami") // the next event finds no session
	waitForLogout(t, "the shop after its reset", inShop)
	equal(t, "user in the blog after the reset", call(t, inBlog, "whoami"), `"ann"`)
	if list := author.deviceList(); len(list) != 1 {
		t.Errorf("got devices %+v in the blog, want 1", list)
	}
	if got := inBlog.Waiting("lobby") + inBlog.Waiting("notified"); got > 0 {
		t.Errorf("the blog got %d events of the shop, want 0", got)
	}
}
