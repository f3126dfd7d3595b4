package socketbridge_test

import (
	"net/http/httptest"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// A Reported hook gets what the Engine.IO server refuses, with the attributes of its line.
func TestTrace_ReportsTheEngine(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Logger: silent})
	attrs := map[string]int{}
	stop := io.Observe(socketbridge.Trace{Reported: func(r socketbridge.Report) { attrs[r.Name] = len(r.Attrs()) }})
	app := fiber.New()
	app.Use(io.Handler())
	res, err := app.Test(httptest.NewRequest("GET", "/socket.io/?EIO=3&transport=polling", nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	stop()
	if attrs["protocol_version"] == 0 {
		t.Errorf("reported %v, want protocol_version with attributes", attrs)
	}
}
