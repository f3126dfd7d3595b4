package engineio_test

import (
	"encoding/json"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

func TestError(t *testing.T) {
	t.Parallel()
	want := map[*engineio.Error]string{
		engineio.ErrUnknownTransport:    `{"code":0,"message":"Transport unknown"}`,
		engineio.ErrUnknownSID:          `{"code":1,"message":"Session ID unknown"}`,
		engineio.ErrBadHandshakeMethod:  `{"code":2,"message":"Bad handshake method"}`,
		engineio.ErrBadRequest:          `{"code":3,"message":"Bad request"}`,
		engineio.ErrForbidden:           `{"code":4,"message":"Forbidden"}`,
		engineio.ErrUnsupportedProtocol: `{"code":5,"message":"Unsupported protocol version"}`,
	}
	for e, want := range want {
		if got, err := json.Marshal(e); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
		if status := e.Status(); (status == 403) != (e.Code == 4) || status != 403 && status != 400 {
			t.Errorf("code %d has status %d", e.Code, status)
		}
	}
}
