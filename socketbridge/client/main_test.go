package client_test

import (
	"os"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

func TestMain(m *testing.M) { os.Exit(nodetest.Share(m).Run()) }
