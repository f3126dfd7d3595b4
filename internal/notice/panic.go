package notice

import (
	"fmt"
	"runtime/debug"
)

// Panic returns the arguments of Board.Report that describe app code that has not returned:
// the value of its panic, or that it ended its goroutine, and the stack. recovered is the result
// of recover. Panic must run in the deferred function.
func Panic(recovered any) []any {
	value := "none: the code ended its goroutine (runtime.Goexit, which t.FailNow calls)"
	if recovered != nil {
		value = fmt.Sprint(recovered)
	}
	return []any{"panic", value, "stack", string(debug.Stack())}
}
