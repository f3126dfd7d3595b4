package main

import "testing"

func TestBrowserName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		agent, want string
		phone       bool
	}{
		{iPhone, "Safari on iPhone", true},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows", false},
		{"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android", true},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Mac", false},
		{"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "Chrome on ChromeOS", false},
		{"curl/8.0 (Linux)", "A program on Linux", false},
		{"Firefox", "Firefox", false},
		{"", "A device", false},
	} {
		if name, phone := browserName(c.agent); name != c.want || phone != c.phone {
			t.Errorf("%q: %q, phone %v; want %q, %v", c.agent, name, phone, c.want, c.phone)
		}
	}
}
