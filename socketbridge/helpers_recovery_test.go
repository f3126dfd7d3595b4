package socketbridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// replayLogs create a cluster with a replay log. The returned function adds an adapter to it.
var replayLogs = map[string]func(t *testing.T) func() adapter.Adapter{
	"memory": func(*testing.T) func() adapter.Adapter { return adapter.NewMemory().Join },
	"redis": func(t *testing.T) func() adapter.Adapter {
		client := goredis.NewClient(&goredis.Options{Addr: redistest.Start(t).Addr(), MaxRetries: -1, DisableIdentity: true})
		t.Cleanup(func() { _ = client.Close() })
		return func() adapter.Adapter {
			return redisadapter.NewStreams(client, redisadapter.Config{Logger: slog.New(slog.DiscardHandler), Timeout: 30 * time.Second})
		}
	},
}

// onEachLog runs a test with each kind of replay log.
func onEachLog(t *testing.T, test func(t *testing.T, join func() *recordingLog)) {
	for name, hub := range replayLogs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			join := hub(t)
			test(t, func() *recordingLog { return &recordingLog{Log: join().(adapter.Log), kept: map[string]int{}} })
		})
	}
}

// recordingLog is a replay log that counts the recovery states it keeps, that can be made to
// fail, and whose node can be held back.
type recordingLog struct {
	adapter.Log
	mu      sync.Mutex
	err     error
	kept    map[string]int // number of kept states by private ID; "" is any
	read    func()         // called after Since has read
	backlog *backlog       // set while the node is held back
}

func (l *recordingLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *recordingLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *recordingLog) SaveState(ctx context.Context, r *adapter.RecoveryState, ttl time.Duration) error {
	err := l.failure()
	if err == nil {
		err = l.Log.SaveState(ctx, r, ttl)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept[r.PID]++
	l.kept[""]++
	return err
}

func (l *recordingLog) Append(ctx context.Context, m *adapter.Message) error {
	if err := l.failure(); err != nil {
		return err
	}
	return l.Log.Append(ctx, m)
}

func (l *recordingLog) Since(ctx context.Context, namespace string, after uint64, yield func(*adapter.Message) bool) (uint64, error) {
	if err := l.failure(); err != nil {
		return 0, err
	}
	end, err := l.Log.Since(ctx, namespace, after, yield)
	l.mu.Lock()
	read := l.read
	l.mu.Unlock()
	if read != nil {
		read()
	}
	return end, err
}

// waitForKept waits until the log keeps the recovery state of a socket, once for each disconnect.
// The pid "" is any socket.
func (l *recordingLog) waitForKept(t testing.TB, pid string) {
	t.Helper()
	waitFor(t, "the recovery state to be kept", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.kept[pid] == 0 {
			return false
		}
		l.kept[pid]--
		return true
	})
}

// newRecoveryNodes creates linked servers with recovery. Every socket joins the room "all".
func newRecoveryNodes(t *testing.T, count int, cfg socketbridge.Config, join func() *recordingLog) ([]*socketbridge.Server, []*recordingLog) {
	t.Helper()
	nodes, logs := make([]*socketbridge.Server, count), make([]*recordingLog, count)
	orDefault := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	orDefault(&cfg.Recovery.Window, time.Hour)
	orDefault(&cfg.Timeouts.Request, 30*time.Second)
	for i := range nodes {
		logs[i] = join()
		cfg.Adapter = logs[i]
		nodes[i] = newServer(t, cfg)
		nodes[i].Use(func(c *socketbridge.Connect) error {
			if err := c.Socket().Join("all"); err != nil {
				return err
			}
			return c.Next()
		})
	}
	waitForLinks(t, nodes...)
	return nodes, logs
}

// balancer forwards connections to one of several servers, chosen by to.
type balancer struct {
	*cuttableListener
	mu     sync.Mutex
	target string
	wg     sync.WaitGroup
}

func newBalancer(t *testing.T, target string) *balancer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{cuttableListener: &cuttableListener{Listener: ln, conns: map[net.Conn]bool{}}}
	b.setTarget(target)
	b.wg.Go(func() { // ends with the listener; the cleanup waits for it
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			b.wg.Go(func() { b.forward(c) }) // ends with the connection; the cleanup waits for it
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		b.cut()
		b.wg.Wait()
	})
	return b
}

func (b *balancer) url() string { return "http://" + b.Addr().String() }

func (b *balancer) setTarget(url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.target = strings.TrimPrefix(url, "http://")
}

func (b *balancer) forward(in net.Conn) {
	defer func() { _ = in.Close() }()
	b.mu.Lock()
	target := b.target
	b.mu.Unlock()
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	b.wg.Go(func() { // ends when out does
		_, _ = io.Copy(in, out)
		_ = in.Close()
	})
	_, _ = io.Copy(out, in)
	_ = out.Close()
}

// newRecoverySiteWith is newRecoverySite with other options.
func newRecoverySiteWith(t *testing.T, o options) *site {
	s := newSite(t, o).users()
	s.app.Post("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("seen", true); return nil })
	s.app.Post("/destroy", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	s.io.On("join", func(p *socketbridge.Packet) error {
		p.Socket().Data().Set("joined", true)
		if err := p.Socket().Join("room"); err != nil {
			return err
		}
		return p.Ack(true)
	})
	s.io.On("state", func(p *socketbridge.Packet) error {
		return p.Ack(fmt.Sprint(p.Socket().Recovered(), p.Socket().Data().Get("joined"), p.Socket().AllRooms()[1:]))
	})
	return s
}

// backlog holds the messages of a node that is held back.
type backlog struct {
	position   uint64 // its position
	deliveries []func()
}

// recordingNode is a node that delivers the messages of a recordingLog.
type recordingNode struct {
	adapter.Node
	log *recordingLog
}

func (l *recordingLog) Run(ctx context.Context, n adapter.Node) error {
	return l.Log.Run(ctx, &recordingNode{n, l})
}

func (n *recordingNode) Deliver(m *adapter.Message) {
	n.log.mu.Lock()
	if s := n.log.backlog; s != nil {
		s.deliveries = append(s.deliveries, func() { n.Node.Deliver(m) })
		n.log.mu.Unlock()
		return
	}
	n.log.mu.Unlock()
	n.Node.Deliver(m)
}

func (l *recordingLog) Position(namespace string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backlog != nil {
		return l.backlog.position
	}
	return l.Log.Position(namespace)
}

// hold holds back all messages to the node.
func (l *recordingLog) hold() {
	at := l.Log.Position("/")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backlog = &backlog{position: at}
}

// release delivers the held messages. No message may be in flight.
func (l *recordingLog) release() {
	l.mu.Lock()
	held := l.backlog.deliveries
	l.backlog = nil
	l.mu.Unlock()
	for _, deliver := range held {
		deliver()
	}
}

// cuttableListener is a listener whose connections can all be closed at once.
type cuttableListener struct {
	net.Listener
	mu    sync.Mutex
	conns map[net.Conn]bool
}

func (b *cuttableListener) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err == nil {
		c = struct{ net.Conn }{c} // hides the TCP connection, whose descriptor the engine would take over otherwise
		b.mu.Lock()
		b.conns[c] = true
		b.mu.Unlock()
	}
	return c, err
}

func (b *cuttableListener) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
	clear(b.conns)
}

// serveCuttable is serve with connections that the test can close.
func (s *site) serveCuttable() *cuttableListener {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	b := &cuttableListener{Listener: ln, conns: map[net.Conn]bool{}}
	s.url = "http://" + ln.Addr().String()
	go func() { _ = s.app.Listener(b) }() // ShutdownWithContext, at the end of the test, waits for it
	return b
}

// newRecoverySite returns a site with recovery, with events to join a room and report the state.
func newRecoverySite(t *testing.T) *site {
	return newRecoverySiteWith(t, options{
		sessions: fibersession.Config{UserKey: "user"},
		bridge:   socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}},
	})
}

// resume reconnects a client with the agent's present cookie.
func (a *agent) resume(n *nodetest.Node, c *nodetest.Client) *nodetest.Client {
	a.t.Helper()
	c.SetHeader("Cookie", a.cookie())
	c.Reconnect()
	return c
}

// recoveryPeer is a peer that speaks the recovery protocol.
type recoveryPeer struct {
	*peer
	pid, offset string
	recovered   bool
}

// connectRecovering connects with a private ID and an offset, or as a new client if both are "".
func connectRecovering(t testing.TB, io *socketbridge.Server, pid, offset string) *recoveryPeer {
	t.Helper()
	p := &recoveryPeer{peer: dial(t, io), offset: offset}
	auth := "0"
	if pid != "" {
		b, err := json.Marshal(map[string]string{"pid": pid, "offset": offset})
		if err != nil {
			t.Fatal(err)
		}
		auth += string(b)
	}
	p.send(auth)
	got := p.next()
	var body struct{ Sid, PID string }
	if !strings.HasPrefix(got, "0{") || json.Unmarshal([]byte(got[1:]), &body) != nil || body.PID == "" {
		t.Fatalf("CONNECT was answered with %s, want a private ID", got)
	}
	p.sid, p.pid, p.recovered = body.Sid, body.PID, body.PID == pid
	if !p.recovered {
		p.offset = ""
	}
	return p
}

// event reads the next event ["n",<number>,<offset>].
func (p *recoveryPeer) event() (number int, offset string) {
	p.t.Helper()
	got := p.next()
	var body []any
	if json.Unmarshal([]byte(got[1:]), &body) != nil || len(body) != 3 {
		p.t.Fatalf("got %s, want an event with an offset", got)
	}
	return int(body[1].(float64)), body[2].(string)
}
