package socketbridge_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// wsPeer is a WebSocket client that speaks the protocol by hand. It is cheap to open and
// can end without the close handshake.
type wsPeer struct{ ws *websocket.Conn }

// dialWebSocket connects to the default namespace with a cookie.
func dialWebSocket(ctx context.Context, site *site, cookie string) (*wsPeer, error) {
	header := http.Header{}
	if cookie != "" {
		header.Set("Cookie", cookie)
	}
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(site.url, "http")+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(1 << 20)
	w := &wsPeer{ws}
	if _, err := w.read(ctx); err != nil { // the engine's handshake
		return nil, err
	}
	if err := w.write(ctx, "40"); err != nil {
		return nil, err
	}
	if got, err := w.read(ctx); err != nil || !strings.HasPrefix(got, "40{") {
		ws.CloseNow()
		return nil, fmt.Errorf("CONNECT was answered with %q, want 40{...}: %w", got, err)
	}
	return w, nil
}

func (w *wsPeer) read(ctx context.Context) (string, error) {
	_, b, err := w.ws.Read(ctx)
	return string(b), err
}

func (w *wsPeer) write(ctx context.Context, text string) error {
	return w.ws.Write(ctx, websocket.MessageText, []byte(text))
}

// close closes the connection, with or without the close handshake.
func (w *wsPeer) close(polite bool) {
	if polite {
		_ = w.ws.Close(websocket.StatusNormalClosure, "")
		return
	}
	_ = w.ws.CloseNow()
}
