// Package redistest starts real Redis servers for tests: a single server, a
// Sentinel failover, a Redis Cluster. A [Proxy] between the code under test and
// its server simulates network faults.
//
//	server := redistest.Start(t)
//	proxy := redistest.NewProxy(t, server.Addr())
//	st, err := storage.Open(proxy.URL())
//	...
//	proxy.Disconnect() // the network fails
//	server.Kill()      // the server crashes
//	server.Restart()
//
// Every server listens on the loopback interface only, and ends with its test.
// Only this project's tests import the package; it changes as they need.
package redistest
