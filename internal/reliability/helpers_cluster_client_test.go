package reliability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// visitor is a browser: it keeps cookies and sends them with requests and sockets.
type visitor struct {
	me  string
	mu  sync.Mutex
	url string            // of a node or of the proxy
	jar map[string]string // cookies by name
}

func newVisitor(me, url string) *visitor {
	return &visitor{me: me, url: url, jar: map[string]string{"me": me}}
}

var browser = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: 5 * time.Second}}

func (v *visitor) header() http.Header {
	v.mu.Lock()
	defer v.mu.Unlock()
	var pairs []string
	for name, value := range v.jar {
		pairs = append(pairs, name+"="+value)
	}
	return http.Header{"Cookie": {strings.Join(pairs, "; ")}}
}

func (v *visitor) base() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.url
}

func (v *visitor) moveTo(url string) {
	v.mu.Lock()
	v.url = url
	v.mu.Unlock()
}

func (v *visitor) forget(cookie string) {
	v.mu.Lock()
	delete(v.jar, cookie)
	v.mu.Unlock()
}

// errStatus is the error of a response that is not 200.
type errStatus int

func (e errStatus) Error() string { return "status " + strconv.Itoa(int(e)) }

// do makes a request and returns the body of a response with status 200.
func (v *visitor) do(ctx context.Context, method, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, v.base()+path, nil)
	if err != nil {
		return "", err
	}
	req.Header = v.header()
	res, err := browser.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	v.mu.Lock()
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 || c.Value == "" {
			delete(v.jar, c.Name)
		} else {
			v.jar[c.Name] = c.Value
		}
	}
	v.mu.Unlock()
	if res.StatusCode != http.StatusOK {
		return string(body), errStatus(res.StatusCode)
	}
	return string(body), nil
}

// tab is a Socket.IO client over a WebSocket, in the default namespace.
type tab struct {
	ws      *websocket.Conn
	onEvent func(name string, args []json.RawMessage)
	done    chan struct{} // closed when the connection has ended
	cancel  context.CancelFunc

	mu   sync.Mutex
	last int
	acks map[int]chan []json.RawMessage
	pid  string // for recovery
	kept string // the offset of the last event that can be replayed
	// recovered says that the server gave the socket of resume back.
	recovered bool
}

// open connects a socket. onEvent is called on the reader's goroutine, and may be nil. With
// resume, the socket asks for the events that an earlier one of this visitor missed.
func (v *visitor) open(ctx context.Context, onEvent func(name string, args []json.RawMessage), resume *tab) (*tab, error) {
	url := "ws" + strings.TrimPrefix(v.base(), "http") + "/socket.io/?EIO=4&transport=websocket"
	ws, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: v.header(), HTTPClient: browser})
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	for _, c := range res.Cookies() { // the proxy's, which names the node
		v.jar[c.Name] = c.Value
	}
	v.mu.Unlock()
	ws.SetReadLimit(1 << 20)
	reading, cancel := context.WithCancel(context.Background())
	t := &tab{ws: ws, onEvent: onEvent, done: make(chan struct{}), cancel: cancel, acks: map[int]chan []json.RawMessage{}}
	if err := t.connect(ctx, resume); err != nil {
		cancel()
		_ = ws.CloseNow()
		return nil, err
	}
	go t.read(reading) // ends with the connection; close waits for it
	return t, nil
}

func (t *tab) connect(ctx context.Context, resume *tab) error {
	if _, _, err := t.ws.Read(ctx); err != nil { // the handshake of the engine
		return err
	}
	packet := "40"
	if resume != nil {
		resume.mu.Lock()
		if resume.pid != "" && resume.kept != "" {
			auth, _ := json.Marshal(map[string]string{"pid": resume.pid, "offset": resume.kept})
			packet += string(auth)
		}
		t.pid, t.kept = resume.pid, resume.kept
		resume.mu.Unlock()
	}
	if err := t.ws.Write(ctx, websocket.MessageText, []byte(packet)); err != nil {
		return err
	}
	for {
		_, answer, err := t.ws.Read(ctx)
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(string(answer), "40"):
			var id struct{ PID string }
			_ = json.Unmarshal(answer[2:], &id)
			t.recovered = resume != nil && id.PID != "" && id.PID == t.pid
			t.pid = id.PID
			return nil
		case strings.HasPrefix(string(answer), "42"):
			t.event(answer[2:]) // replayed before the answer
		default:
			return fmt.Errorf("CONNECT was answered with %s", answer)
		}
	}
}

func (t *tab) read(ctx context.Context) {
	defer close(t.done)
	defer func() { _ = t.ws.CloseNow() }()
	for {
		_, b, err := t.ws.Read(ctx)
		if err != nil {
			return
		}
		switch {
		case string(b) == "2":
			if t.ws.Write(ctx, websocket.MessageText, []byte("3")) != nil {
				return
			}
		case strings.HasPrefix(string(b), "41"):
			return
		case strings.HasPrefix(string(b), "42"):
			t.event(b[2:])
		case strings.HasPrefix(string(b), "43"):
			i := strings.IndexByte(string(b), '[')
			id, _ := strconv.Atoi(string(b[2:i]))
			var args []json.RawMessage
			_ = json.Unmarshal(b[i:], &args)
			t.mu.Lock()
			answer := t.acks[id]
			delete(t.acks, id)
			t.mu.Unlock()
			if answer != nil {
				answer <- args
			}
		}
	}
}

func (t *tab) event(b []byte) {
	var args []json.RawMessage
	if json.Unmarshal(b, &args) != nil || len(args) == 0 {
		return
	}
	var name string
	_ = json.Unmarshal(args[0], &name)
	args = args[1:]
	if name == "said" && len(args) == 3 { // with recovery, the last argument is the offset
		t.mu.Lock()
		_ = json.Unmarshal(args[2], &t.kept)
		t.mu.Unlock()
		args = args[:2]
	}
	if t.onEvent != nil {
		t.onEvent(name, args)
	}
}

var errTabClosed = errors.New("the socket was closed")

// call emits an event and waits for its answer.
func (t *tab) call(ctx context.Context, event string, args ...any) ([]json.RawMessage, error) {
	answer := make(chan []json.RawMessage, 1)
	t.mu.Lock()
	t.last++
	id := t.last
	t.acks[id] = answer
	t.mu.Unlock()
	b, err := json.Marshal(append([]any{event}, args...))
	if err != nil {
		return nil, err
	}
	if err := t.ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil, "42%d%s", id, b)); err != nil {
		return nil, err
	}
	select {
	case got := <-answer:
		if len(got) == 1 && strings.HasPrefix(string(got[0]), "{") {
			return nil, fmt.Errorf("%s was answered with %s", event, got[0])
		}
		return got, nil
	case <-t.done:
		return nil, errTabClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close ends the connection, with or without the close handshake.
func (t *tab) close(polite bool) {
	if polite {
		_ = t.ws.Close(websocket.StatusNormalClosure, "")
	}
	_ = t.ws.CloseNow()
	t.cancel()
	<-t.done
}

// backoff returns the delay of the official client before its attempt number n, from 0:
// 1 s, doubled each time up to 5 s, changed by up to half at random.
func backoff(n int) time.Duration {
	d := min(time.Second<<min(n, 3), 5*time.Second)
	return d/2 + rand.N(d)
}
