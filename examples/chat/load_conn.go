package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// loadConn is an Engine.IO connection after its handshake. One goroutine reads, and several write.
type loadConn interface {
	read(ctx context.Context) (packet string, err error)
	write(ctx context.Context, packet string) error
	close()
}

// dial opens a connection.
func (v *loadVisitor) dial(ctx context.Context) (loadConn, error) {
	const path = "/socket.io/?EIO=4&transport="
	if v.polls {
		return dialPolling(ctx, v.http, v.load.site+path+"polling")
	}
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(v.load.site, "http")+path+"websocket", &websocket.DialOptions{HTTPClient: v.http})
	if err != nil {
		return nil, err
	}
	c := loadWebSocket{ws}
	if _, err := c.read(ctx); err != nil { // the handshake
		c.close()
		return nil, err
	}
	return c, nil
}

// loadWebSocket is a connection over a WebSocket.
type loadWebSocket struct{ ws *websocket.Conn }

func (c loadWebSocket) read(ctx context.Context) (string, error) {
	_, packet, err := c.ws.Read(ctx)
	return string(packet), err
}

func (c loadWebSocket) write(ctx context.Context, packet string) error {
	return c.ws.Write(ctx, websocket.MessageText, []byte(packet))
}

func (c loadWebSocket) close() { _ = c.ws.CloseNow() }

// loadPolling is a connection over polling.
type loadPolling struct {
	http    *http.Client
	url     string
	posting sync.Mutex // a node refuses two posts of a connection at the same time
	packets []string   // read and not yet returned
}

var (
	errPollClosed  = errors.New("the node closed the connection")
	errPollRefused = errors.New("a request of an open connection was refused")
)

func dialPolling(ctx context.Context, client *http.Client, url string) (*loadPolling, error) {
	c := &loadPolling{http: client, url: url}
	packet, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	var hello struct{ SID string }
	if !strings.HasPrefix(packet, "0") || json.Unmarshal([]byte(packet[1:]), &hello) != nil {
		return nil, fmt.Errorf("the handshake was answered with %s", packet)
	}
	c.url += "&sid=" + hello.SID
	return c, nil
}

func (c *loadPolling) read(ctx context.Context) (packet string, err error) {
	for len(c.packets) == 0 {
		payload, err := c.request(ctx, http.MethodGet, "")
		if err != nil {
			return "", err
		}
		c.packets = strings.Split(payload, "\x1e")
	}
	packet, c.packets = c.packets[0], c.packets[1:]
	if packet == "1" {
		return "", errPollClosed
	}
	return packet, nil
}

func (c *loadPolling) write(ctx context.Context, packet string) error {
	c.posting.Lock()
	defer c.posting.Unlock()
	_, err := c.request(ctx, http.MethodPost, packet)
	return err
}

// close does nothing: the node closes a connection that is not polled.
func (*loadPolling) close() {}

func (c *loadPolling) request(ctx context.Context, method, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s %s: %s", errPollRefused, method, res.Status, text)
	}
	return string(text), err
}
