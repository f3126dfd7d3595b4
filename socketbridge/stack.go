package socketbridge

// frame is the stack that an event with a session needs.
type frame [6 << 10]byte

// growStack gives a new goroutine that much stack. Left to itself it would be moved to
// a larger one in the middle of the event, with all the frames that are there by then:
// an eighth of what an event costs. The size of its own frame does it, so never is
// false: then nothing is cleared.
//
//go:noinline
func growStack(never bool) {
	if never {
		var f frame
		keepFrame(&f)
	}
}

//go:noinline
func keepFrame(*frame) {}
