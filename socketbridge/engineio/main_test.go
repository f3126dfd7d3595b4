package engineio_test

import (
	"testing"

	"go.uber.org/goleak"
)

// What fasthttp leaves behind is not ours: one goroutine for the Date header, as
// long as the process lives, and one for each server that was shut down, until it
// wakes from its sleep.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}
