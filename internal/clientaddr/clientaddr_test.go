package clientaddr

import (
	"net/netip"
	"strings"
	"testing"
)

func TestS5_Find(t *testing.T) {
	t.Parallel()
	const peer = "10.0.0.1"
	trusted := []string{peer, "10.1.0.0/16", "2001:db8:ffff::/48", "not an address"}
	tests := map[string]struct {
		header   []string
		trusted  []string
		want     string
		readable bool
	}{
		"one address":                             {[]string{"192.0.2.1"}, trusted, "192.0.2.1", true},
		"with a port":                             {[]string{"192.0.2.1:50123"}, trusted, "192.0.2.1", true},
		"with spaces":                             {[]string{"  192.0.2.1\t"}, trusted, "192.0.2.1", true},
		"IPv6":                                    {[]string{"2001:db8::1"}, trusted, "2001:db8::1", true},
		"IPv6 in brackets":                        {[]string{"[2001:db8::1]"}, trusted, "2001:db8::1", true},
		"IPv6 with a port":                        {[]string{"[2001:db8::1]:443"}, trusted, "2001:db8::1", true},
		"IPv6 with a port, quoted":                {[]string{`"[2001:db8::1]:443"`}, trusted, "2001:db8::1", true},
		"IPv6 with a zone":                        {[]string{"fe80::1%eth0"}, trusted, "fe80::1", true},
		"IPv4 as IPv6":                            {[]string{"::ffff:192.0.2.1"}, trusted, "192.0.2.1", true},
		"IPv4 as IPv6, with a port":               {[]string{"[::ffff:192.0.2.1]:80"}, trusted, "192.0.2.1", true},
		"loopback":                                {[]string{"127.0.0.1"}, trusted, "127.0.0.1", true},
		"a list with a forged left end":           {[]string{"6.6.6.6, 192.0.2.1"}, trusted, "192.0.2.1", true},
		"a list that passed two proxies":          {[]string{"6.6.6.6, 192.0.2.1, 10.1.2.3"}, trusted, "192.0.2.1", true},
		"a list with ports":                       {[]string{"6.6.6.6:1, 192.0.2.1:2, 10.1.2.3:3"}, trusted, "192.0.2.1", true},
		"a proxy in IPv6":                         {[]string{"192.0.2.1, 2001:db8:ffff::7"}, trusted, "192.0.2.1", true},
		"two headers":                             {[]string{"6.6.6.6", "192.0.2.1, 10.1.2.3"}, trusted, "192.0.2.1", true},
		"two headers, the second is a proxy's":    {[]string{"6.6.6.6, 192.0.2.1", "10.1.2.3"}, trusted, "192.0.2.1", true},
		"proxies only":                            {[]string{"10.1.0.1, 10.1.0.2"}, trusted, "10.1.0.1", true},
		"junk left of a proxy":                    {[]string{"junk, 10.1.0.2"}, trusted, "10.1.0.2", true},
		"nothing is known of proxies":             {[]string{"6.6.6.6, 192.0.2.1"}, nil, "192.0.2.1", true},
		"a comma at the end":                      {[]string{"192.0.2.1,"}, trusted, "192.0.2.1", true},
		"junk":                                    {[]string{"unknown"}, trusted, peer, false},
		"junk at the right end":                   {[]string{"192.0.2.1, unknown"}, trusted, peer, false},
		"an obfuscated name (RFC 7239)":           {[]string{"_hidden"}, trusted, peer, false},
		"a port without an address":               {[]string{":8080"}, trusted, peer, false},
		"IPv4 in brackets":                        {[]string{"[192.0.2.1]"}, trusted, peer, false},
		"a bracket that is not closed":            {[]string{"[2001:db8::1"}, trusted, peer, false},
		"an empty value":                          {[]string{""}, trusted, peer, false},
		"commas":                                  {[]string{", ,"}, trusted, peer, false},
		"an address with leading zeros, as octal": {[]string{"192.0.2.01"}, trusted, peer, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, readable := Find(netip.MustParseAddr(peer), tt.header, tt.trusted)
			if got.String() != tt.want || readable != tt.readable {
				t.Errorf("got %s, %v, want %s, %v", got, readable, tt.want, tt.readable)
			}
		})
	}
}

// Whatever a client sends, Find returns an address and does not panic.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"", "192.0.2.1", "[::1]:1, x", ",,,", `"`, strings.Repeat("1,", 100)} {
		f.Add(s)
	}
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, header string) {
		got, readable := Find(peer, []string{header}, []string{"10.0.0.0/8"})
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() || !readable && got != peer {
			t.Errorf("%q: got %v, %v", header, got, readable)
		}
	})
}
