package engineio_test

import (
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// TestConn runs the conformance suite on each transport and after an upgrade.
func TestConn(t *testing.T) {
	t.Run("polling", func(t *testing.T) {
		transporttest.TestConn(t, func(tb testing.TB, a transport.Acceptor) (transporttest.Peer, error) {
			s := open(tb, nil, engineio.Config{}, siteOptions{acceptor: a})
			if answer := s.do("GET", polling, ""); answer.status != 200 {
				return nil, fmt.Errorf("%d %s", answer.status, answer.body)
			} else {
				return &pollClient{site: s, sid: parseOpen(tb, answer.body).SID}, nil
			}
		})
	})
	t.Run("websocket", func(t *testing.T) {
		transporttest.TestConn(t, func(tb testing.TB, a transport.Acceptor) (transporttest.Peer, error) {
			c, answer := open(tb, nil, engineio.Config{}, siteOptions{acceptor: a}).dialWS(websocket)
			if c == nil {
				return nil, fmt.Errorf("%d %s", answer.status, answer.body)
			}
			return c, nil
		})
	})
	t.Run("upgraded", func(t *testing.T) {
		transporttest.TestConn(t, func(tb testing.TB, a transport.Acceptor) (transporttest.Peer, error) {
			s := open(tb, nil, engineio.Config{}, siteOptions{acceptor: a})
			answer := s.do("GET", polling, "")
			if answer.status != 200 {
				return nil, fmt.Errorf("%d %s", answer.status, answer.body)
			}
			return (&pollClient{site: s, sid: parseOpen(tb, answer.body).SID}).upgrade(), nil
		})
	})
}
