package redisadapter

import "testing"

// Streams have the names that Node's adapter computes (checked against version 0.3.1 by
// TestMixedCluster). It adds to streams with a negative number, but reads those from 0 on.
func TestStreamKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		namespace string
		count     int
		want      string
		isRead    bool
	}{
		{"/", 1, "key", true},
		{"/", 2, "key-1", true},
		{"/", 4, "key-3", true},
		{"/chat", 4, "key-3", true},
		{"/admin", 4, "key-0", true},
		{"/é😀", 4, "key-1", true},
		{"/notifications", 4, "key--3", false},
		{"/notifications", 1, "key", true},
	} {
		if got, isRead := streamKey("key", tt.count, tt.namespace); got != tt.want || isRead != tt.isRead {
			t.Errorf("%s with %d streams: %s, %v, want %s, %v", tt.namespace, tt.count, got, isRead, tt.want, tt.isRead)
		}
	}
}
