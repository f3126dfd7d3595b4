// Package adaptertest is the conformance suite for implementations of adapter.Adapter.
// All adapters of this module pass it:
//
//	func TestAdapter(t *testing.T) {
//		adaptertest.Run(t, func(t *testing.T) func() adapter.Adapter {
//			hub := adapter.NewMemory() // a new cluster without nodes
//			return hub.Join            // creates the adapter of one more node
//		})
//	}
//
// An adapter that also implements adapter.Log must pass RunLog too. The suite uses
// adapter.RoomWatcher if the adapter implements it.
package adaptertest
