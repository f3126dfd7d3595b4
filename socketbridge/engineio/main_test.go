package engineio_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Two kinds of goroutines belong to fasthttp: one updates the Date header until the process
// ends, and each server that was shut down has one until its sleep is over.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}
