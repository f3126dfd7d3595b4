package contract_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(nodetest.Share(m), // clocks of the libraries, which run as long as the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // it ends some seconds after its server
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2.New.StartTimeStampUpdater.func1.1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2/internal.StartTimeStampUpdater.func1.1"))
}
