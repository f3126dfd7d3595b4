package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

const (
	drainBefore   = 20              // events of each client that are answered before Shutdown
	drainAccepted = drainBefore + 4 // with those that wait for their handler when Shutdown begins
	drainLast     = 3               // events that the server emits to each client before Shutdown
)

// R16: a shutdown under traffic loses nothing that was accepted. Each client has events that
// wait for their handlers, and sends more without a pause. The test is not parallel: it counts
// goroutines. Its short form has fewer clients, and no limit of time.
func TestR16_ShutdownUnderTraffic(t *testing.T) {
	before := goleak.IgnoreCurrent()
	clients := scaled(60, 2000)
	gate := make(chan struct{}) // closed once Shutdown has begun
	n, err := newSoloNode(socketbridge.Config{})
	if err != nil {
		t.Fatal(err)
	}
	handled := make([]atomic.Int64, clients) // events of each client
	n.io.Of("/marks").On("mark", func(p *socketbridge.Packet) error { return p.Ack() })
	n.io.On("add", func(p *socketbridge.Packet) error {
		var client, number int
		if err := p.Bind(&client, &number); err != nil {
			return err
		}
		if number >= drainBefore {
			<-gate
		}
		p.Session().Set("added", number+1)
		handled[client].Add(1)
		return p.Ack(number)
	})
	n.serve()

	browser := &http.Client{Transport: &http.Transport{}}
	all := make([]*drainClient, clients)
	mustEach(t, clients, func(i int) error {
		cookie, err := login(browser, n.url())
		if err == nil {
			all[i], err = newDrainClient(n.addr, cookie, i)
		}
		return err
	})
	var traffic sync.WaitGroup
	for _, c := range all {
		traffic.Go(c.run) // each ends when the server closes its connection
	}
	for range drainLast {
		if err := n.io.Emit("last"); err != nil {
			t.Fatal(err)
		}
	}

	done := make(chan error, 1)
	begin := time.Now()
	var took time.Duration
	go func() { // received below
		ctx, cancel := context.WithTimeout(context.Background(), scaled(30*time.Second, 5*time.Second))
		defer cancel()
		err := n.io.Shutdown(ctx)
		took = time.Since(begin)
		done <- err
	}()
	mustWaitFor(t, 20*time.Second, "a handshake is refused", func() string {
		_, err := dialWebSocket(net.Dialer{}, n.addr, "EIO=4&transport=websocket", "")
		if err == nil || !strings.Contains(err.Error(), "503") {
			return fmt.Sprint(err)
		}
		return ""
	})
	close(gate)
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	traffic.Wait()

	events := 0
	for i, c := range all {
		events += c.answered
		ran := int(handled[i].Load())
		stored, err := storedCount(n.sessions, c.cookie)
		switch {
		case !errors.Is(c.end, errServerClosed):
			t.Errorf("client %d got no close frame: %v", i, c.end)
		case c.answered < drainAccepted || c.answered != ran || stored != ran || err != nil:
			t.Errorf("client %d: %d events had been accepted, %d were handled, %d answered, %d are stored, %v", i, drainAccepted, ran, c.answered, stored, err)
		case c.last != drainLast:
			t.Errorf("client %d got %d of the last %d events", i, c.last, drainLast)
		}
	}
	_ = n.app.Shutdown()
	<-n.served
	if err := errors.Join(n.sessions.Close(), n.store.Close()); err != nil {
		t.Error(err)
	}
	browser.CloseIdleConnections()
	const updater = "StartTimeStampUpdater.func1.1"
	if err := goleak.Find(before, // and those that live as long as the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2.New."+updater),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2/internal."+updater)); err != nil {
		t.Error(err)
	}
	report(t, "R16", "%d sockets: Shutdown took %v; %d events handled, answered and stored; load %s", clients, took.Round(time.Millisecond), events, load(t))
}

// drainClient sends events until its connection is closed.
type drainClient struct {
	*rawPeer
	cookie   string
	number   int
	answered int   // acknowledgements, which arrive in order
	last     int   // events "last" of the server
	end      error // of the connection
}

// newDrainClient connects and returns when drainBefore events are answered and the server has
// accepted drainAccepted. It accepts events in order: when it answers one in another namespace,
// it has the earlier ones.
func newDrainClient(addr, cookie string, number int) (*drainClient, error) {
	p, err := dialPeer(net.Dialer{}, addr, cookie)
	if err != nil {
		return nil, err
	}
	c := &drainClient{rawPeer: p, cookie: cookie, number: number}
	if err := p.join("/marks"); err != nil {
		return nil, err
	}
	for i := range drainAccepted - drainBefore {
		err = errors.Join(err, c.add(i))
	}
	for err == nil && c.answered < drainBefore {
		if err = c.expect(fmt.Sprintf("3%d[%d]", c.answered, c.answered)); err == nil {
			c.answered++
			err = c.add(c.answered + drainAccepted - drainBefore - 1)
		}
	}
	if err == nil {
		err = p.send(`2/marks,0["mark"]`)
	}
	if err == nil {
		err = c.expect("3/marks,0[]")
	}
	return c, err
}

func (c *drainClient) expect(want string) error {
	got, err := c.next()
	if err == nil && got != want {
		err = fmt.Errorf("got %q, want %q", got, want)
	}
	return err
}

func (c *drainClient) add(i int) error {
	return c.send(fmt.Sprintf(`2%d["add",%d,%d]`, i, c.number, i))
}

// run sends an event for each answer, and a few in advance, until the server closes.
func (c *drainClient) run() {
	defer func() { _ = c.nc.Close() }()
	_ = c.nc.SetReadDeadline(time.Now().Add(time.Minute))
	next := drainAccepted
	for range 4 {
		_ = c.add(next) // fails when the server has closed, which next reports
		next++
	}
	for {
		got, err := c.next()
		if err != nil {
			c.end = err
			return
		}
		switch want := fmt.Sprintf("3%d[%d]", c.answered, c.answered); got {
		case `2["last"]`:
			c.last++
		case want:
			c.answered++
			_ = c.add(next)
			next++
		case "1": // the server disconnects the socket, and then closes the connection
		default:
			c.end = fmt.Errorf("got %q, want %q", got, want)
			return
		}
	}
}

// storedCount returns the value that the events have stored in a session.
func storedCount(store *fibersession.Store, cookie string) (int, error) {
	_, id, _ := strings.Cut(cookie, "=")
	h, err := store.GetByID(context.Background(), id)
	if err != nil {
		return 0, err
	}
	defer h.Release()
	return fibersession.Value[int](h, "added")
}

// mustEach calls fn with 0 to n-1, 16 calls at a time, and ends the test on the first error.
func mustEach(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	if err := each(n, fn); err != nil {
		t.Fatal(err)
	}
}

// each calls fn with 0 to n-1, 16 calls at a time. It returns the first error.
func each(n int, fn func(i int) error) error {
	var next atomic.Int64
	var failed sync.Once
	var first error
	var wg sync.WaitGroup
	for range min(n, 16) {
		wg.Go(func() { // waited for below
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					failed.Do(func() { first = fmt.Errorf("%d: %w", i, err) })
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}
