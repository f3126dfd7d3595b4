package fibersession_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestMain(m *testing.M) {
	// Clocks of the process that start with first use and never end: now, so that
	// they are not a part of any test's bubble.
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
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		// A fasthttp server that was shut down sleeps once more, 10 s, before it sees it.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// A session.Store of Fiber's cannot be closed.
		goleak.IgnoreAnyFunction("github.com/gofiber/fiber/v2/internal/storage/memory.(*Storage).gc"))
}
