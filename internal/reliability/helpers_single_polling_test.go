package reliability_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// pollPeer is a Socket.IO client on long-polling.
type pollPeer struct {
	http *http.Client
	addr string
	sid  string
}

// dialPollPeer connects to the default namespace. It returns the packets that came with the
// answer to CONNECT.
func dialPollPeer(ctx context.Context, c *http.Client, addr string) (*pollPeer, []string, error) {
	p := &pollPeer{http: c, addr: addr}
	body, err := p.do(ctx, http.MethodGet, "")
	if err != nil {
		return nil, nil, err
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open); err != nil || open.SID == "" {
		return nil, nil, fmt.Errorf("the handshake was answered with %q: %w", body, err)
	}
	p.sid = open.SID
	if err := p.post(ctx, "40"); err != nil {
		return nil, nil, err
	}
	packets, err := p.poll(ctx)
	if err == nil && !strings.HasPrefix(packets[0], "40{") {
		err = fmt.Errorf("CONNECT was answered with %q", packets)
	}
	return p, packets[1:], err
}

func (p *pollPeer) query(transport string) string {
	q := "EIO=4&transport=" + transport
	if p.sid != "" {
		q += "&sid=" + p.sid
	}
	return q
}

// do sends a request and returns the body of its answer.
func (p *pollPeer) do(ctx context.Context, method, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.addr+"/socket.io/?"+p.query("polling"), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	res, err := p.http.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s was answered with %s %s", method, res.Status, b)
	}
	return string(b), err
}

// poll returns the Engine.IO packets of one poll.
func (p *pollPeer) poll(ctx context.Context) ([]string, error) {
	body, err := p.do(ctx, http.MethodGet, "")
	return strings.Split(body, "\x1e"), err
}

// post sends Engine.IO packets.
func (p *pollPeer) post(ctx context.Context, packets ...string) error {
	_, err := p.do(ctx, http.MethodPost, strings.Join(packets, "\x1e"))
	return err
}

// probe opens a WebSocket for the upgrade. After it, the client stops polling, waits for its
// requests, and calls upgrade.
func (p *pollPeer) probe() (*rawPeer, error) {
	w, err := dialWebSocket(net.Dialer{}, p.addr, p.query("websocket"), "")
	if err != nil {
		return nil, err
	}
	err = w.write(appendFrame(nil, "2probe"))
	if err == nil {
		var answer string
		if _, answer, err = w.readFrame(); err == nil && answer != "3probe" {
			err = fmt.Errorf("the probe was answered with %q", answer)
		}
	}
	if err != nil {
		_ = w.nc.Close()
		return nil, err
	}
	return w, nil
}

// upgrade sends the packet that ends the upgrade.
func (p *rawPeer) upgrade() error { return p.write(appendFrame(nil, "5")) }
