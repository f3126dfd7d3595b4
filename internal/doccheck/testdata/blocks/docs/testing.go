package blocks

import (
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
)

var (
	t    *testing.T
	c    *bridgetest.Client
	list []string
	m    struct{ Text string }
)

func newServer(t *testing.T) *socketbridge.Server { panic(0) }
func addEvents(io *socketbridge.Server)           {}
