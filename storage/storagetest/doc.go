// Package storagetest tests storages. It is for three kinds of readers.
//
// Who writes a driver runs the conformance suite, on the real server:
//
//	func TestSuite(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) storage.Storage {
//			s, err := mydriver.New(...)
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { _ = s.Close() })
//			return s
//		})
//	}
//
// Who writes what uses a storage makes it go wrong with a [Faulty]:
//
//	s := storagetest.NewFaulty(memory.New(), nil)
//	// The third call is carried out, but its answer never comes.
//	s.SetPlan(storagetest.OnCall(3, storagetest.Fault{Lose: errors.New("cut off")}))
//
// And who needs a real Redis gets one for the time of a test with [Redis].
//
// The suite waits for events and never measures time, so it passes on a slow
// machine too. Run it with -race: some of its rows count on the race detector.
// It does not test speed, nor what a storage does when its server fails.
package storagetest
