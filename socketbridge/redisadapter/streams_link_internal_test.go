package redisadapter

import (
	"log/slog"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

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

// A namespace whose stream Node's adapter does not read is reported when it is opened.
func TestStreamKey_Unread(t *testing.T) {
	t.Parallel()
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1"}) // connects on use only
	defer client.Close()
	a := NewStreams(client, Config{StreamCount: 4, Logger: slog.New(slog.DiscardHandler)})
	a.link.subscribe("/", "me")
	if got := a.Notices()["unread_stream"]; got != 0 {
		t.Errorf("a stream that Node reads was reported %d times", got)
	}
	a.link.subscribe("/notifications", "me")
	if got := a.Notices()["unread_stream"]; got != 1 {
		t.Errorf("a stream that Node does not read was reported %d times, want 1", got)
	}
}
