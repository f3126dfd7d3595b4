// Package storagetest is the conformance suite for implementations of
// storage.Storage. A driver runs it against a real server:
//
//	func TestConformance(t *testing.T) {
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
// The suite waits for events and never measures time, so it also passes on a slow
// machine. Run it with -race: some of its tests rely on the race detector. It tests
// neither speed nor what a storage does when its server fails.
package storagetest
