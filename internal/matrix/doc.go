// Package matrix turns the outcomes of tests into the tables of docs/compatibility.md.
//
//	func TestClients(t *testing.T) {
//		for _, version := range versions {
//			t.Run(version, func(t *testing.T) {
//				matrix.Cell(t, "clients", "socket.io-client "+version, "reconnect")
//				… // the cell says whether this test passed
//			})
//		}
//	}
//
// Cell writes to the directory that the environment variable MATRIX names, and does nothing
// without it. `make interop` sets it, runs the tests, and then runs the command
// internal/matrix/render, which writes the tables into the page between
//
//	<!-- matrix: clients -->
//	<!-- /matrix -->
//
// A cell that more than one test fills is good only if all of them passed. The tests of one
// package fill a table, so that a run of that package alone replaces the table as a whole.
// Tables without results stay as they are.
//
// Only the tests and the Makefile of this module use the package.
package matrix
