package reliability_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// errServerClosed is returned by rawPeer.next after the server has closed the connection in
// the way of the protocol: with a close frame.
var errServerClosed = errors.New("the server has closed the connection")

const (
	frameText  = 1
	frameClose = 8
)

// rawPeer is a Socket.IO client on a WebSocket that costs as little as possible. One goroutine
// may call next while others call send.
type rawPeer struct {
	nc net.Conn
	r  *bufio.Reader

	writing sync.Mutex // held while a frame is written
}

// dialPeer connects to the default namespace. With another dialer than net.Dialer{}, the
// client's address and buffers are those of the dialer.
func dialPeer(dialer net.Dialer, addr, cookie string) (*rawPeer, error) {
	p, err := dialWebSocket(dialer, addr, "EIO=4&transport=websocket", cookie)
	if err != nil {
		return nil, err
	}
	if err := p.join("/"); err != nil {
		_ = p.nc.Close()
		return nil, err
	}
	return p, nil
}

// dialWebSocket opens a WebSocket to the server's path with a query.
func dialWebSocket(dialer net.Dialer, addr, query, cookie string) (*rawPeer, error) {
	nc, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &rawPeer{nc: nc, r: bufio.NewReaderSize(nc, 512)}
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	_, err = fmt.Fprintf(nc, "GET /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", query, addr, cookie)
	if err == nil {
		var res *http.Response
		if res, err = http.ReadResponse(p.r, nil); err == nil && res.StatusCode != http.StatusSwitchingProtocols {
			err = fmt.Errorf("the handshake was answered with %s", res.Status)
		}
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	_ = nc.SetDeadline(time.Time{})
	return p, nil
}

// join connects to a namespace and waits for it.
func (p *rawPeer) join(namespace string) error {
	prefix := ""
	if namespace != "/" {
		prefix = namespace + ","
	}
	if err := p.send("0" + prefix); err != nil {
		return err
	}
	got, err := p.next()
	if err == nil && !strings.HasPrefix(got, "0"+prefix+"{") {
		err = fmt.Errorf("CONNECT was answered with %q", got)
	}
	return err
}

// send sends Socket.IO packets, all in one write.
func (p *rawPeer) send(packets ...string) error {
	var frames []byte
	for _, packet := range packets {
		frames = appendFrame(frames, "4"+packet)
	}
	return p.write(frames)
}

func (p *rawPeer) write(frames []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := p.nc.Write(frames)
	return err
}

// next returns the next Socket.IO packet. It answers pings.
func (p *rawPeer) next() (string, error) {
	for {
		op, data, err := p.readFrame()
		switch {
		case err != nil:
			return "", err
		case op == frameClose:
			return "", errServerClosed
		case op == frameText && strings.HasPrefix(data, "4"):
			return data[1:], nil
		case op == frameText && data == "2":
			if err := p.write(appendFrame(nil, "3")); err != nil {
				return "", err
			}
		}
	}
}

// readFrame reads a frame. The server neither masks its frames nor fragments messages.
func (p *rawPeer) readFrame() (op byte, data string, err error) {
	var head [8]byte
	if _, err := io.ReadFull(p.r, head[:2]); err != nil {
		return 0, "", err
	}
	op = head[0] & 0x0f
	length := uint64(head[1])
	switch length {
	case 126:
		_, err = io.ReadFull(p.r, head[:2])
		length = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(p.r, head[:8])
		length = binary.BigEndian.Uint64(head[:8])
	}
	if err != nil || length > 1<<20 {
		return 0, "", errors.Join(err, fmt.Errorf("frame of %d bytes", length))
	}
	b := make([]byte, length)
	_, err = io.ReadFull(p.r, b)
	return op, string(b), err
}

// appendFrame appends a text frame. Its mask is zero, which leaves the text as it is.
func appendFrame(b []byte, text string) []byte {
	b = append(b, 0x80|frameText)
	switch n := len(text); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), text...)
}
