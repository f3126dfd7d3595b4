// Package presence keeps records of the nodes on which users are online, in a storage that
// all nodes share.
//
// A user's record lists the nodes on which the user is online. It changes by
// compare-and-swap only, so exactly one node sees a record begin, and exactly one sees
// it end. That node notifies its listeners. A node marks itself as alive with a key that
// expires unless it is refreshed; after a node has died, the others remove it from the
// records of its users.
//
// Keys, each after the prefix:
//
//	u:<pseudonym>  the record of a user, as JSON
//	n:<node>       exists while the node is alive
//	of:<node>      set of the pseudonyms of the node's users
//	nodes          set of the nodes
package presence
