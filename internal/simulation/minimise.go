package simulation

// Minimise returns a shorter list of operations for which fails still returns true. It removes
// ever smaller pieces, and calls fails at most tries times. The time that the removed operations
// would have waited is kept, so that the others happen when they did.
func Minimise(ops []op, tries int, fails func([]op) bool) []op {
	for size := len(ops) / 2; size > 0 && tries > 0; {
		removed := false
		for from := 0; from < len(ops) && tries > 0; {
			shorter := without(ops, from, min(from+size, len(ops)))
			tries--
			if len(shorter) > 0 && fails(shorter) {
				ops, removed = shorter, true
				continue
			}
			from += size
		}
		if !removed || size > len(ops) {
			size /= 2
		}
	}
	return ops
}

// without returns ops without those in [from, to). The operation after them waits longer.
func without(ops []op, from, to int) []op {
	shorter := append([]op(nil), ops[:from]...)
	for i, o := range ops[to:] {
		if i == 0 {
			for _, gone := range ops[from:to] {
				o.Gap += gone.Gap
			}
		}
		shorter = append(shorter, o)
	}
	return shorter
}
