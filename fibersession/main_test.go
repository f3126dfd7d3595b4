package fibersession_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestMain(m *testing.M) {
	// Start the process-wide clock goroutines of fiber and the memory storage now: they
	// start with first use and never end, and must not belong to a synctest bubble.
	st := memory.New()
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error { return nil })
	if _, err := app.Test(httptest.NewRequest("GET", "/", nil)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := st.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(nodetest.Share(m), goleak.IgnoreCurrent(),
		// A worker pool of fasthttp notices a shutdown only after its current sleep of 10 s.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// Fiber's session.Store cannot be closed.
		goleak.IgnoreAnyFunction("github.com/gofiber/fiber/v2/internal/storage/memory.(*Storage).gc"))
}
