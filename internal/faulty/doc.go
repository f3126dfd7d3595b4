// Package faulty provides a [Storage] whose calls fail, hang or lose their answer
// as a test plans it, for tests of code that uses a storage.
//
//	st := faulty.New(memory.New(), nil)
//	// The third call is executed, but its answer never arrives.
//	st.SetPlan(faulty.OnCall(3, faulty.Fault{Lose: errors.New("cut off")}))
//
// Only this project's tests import the package; it changes as they need.
package faulty
