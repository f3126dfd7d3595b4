package fibersession

import (
	"bytes"
	"runtime"
	"strconv"
)

// goroutineID tells goroutines apart, for one purpose: to answer a change of a
// session inside its own Update with ErrNested, where it would otherwise run
// against itself until its deadline.
func goroutineID() uint64 {
	var b [40]byte
	_, rest, _ := bytes.Cut(b[:runtime.Stack(b[:], false)], []byte(" "))
	digits, _, _ := bytes.Cut(rest, []byte(" "))
	id, _ := strconv.ParseUint(string(digits), 10, 64)
	return id
}
