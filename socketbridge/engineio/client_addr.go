package engineio

import (
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/clientaddr"
	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// remote is where a request comes from.
type remote struct {
	addr    netip.Addr // of the client, or of the peer if the proxy's header cannot be read
	network netip.Addr // that the connection is counted under; zero if it is not counted
}

// remoteOf returns where a request comes from. fiber.Ctx.IP is not used: it returns the left
// end of a list, which the client can forge, or the whole header, readable or not.
//
// The connections of a peer on this machine are not counted, unless it is a proxy that says
// for whom it speaks. Those of clients whose address cannot be read are counted together,
// under their peer, whatever that is: they must not be without a limit.
func (s *Server) remoteOf(c *fiber.Ctx) remote {
	peer, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	peer = clientaddr.Plain(peer)
	cfg := c.App().Config()
	var header []string
	if cfg.ProxyHeader != "" && c.IsProxyTrusted() {
		header = headerValues(c, cfg.ProxyHeader)
	}
	if len(header) == 0 {
		if peer.IsLoopback() || peer.IsUnspecified() { // unspecified: a Unix socket
			return remote{addr: peer}
		}
		return remote{peer, limitedNetwork(peer)}
	}
	var trusted []string
	if cfg.EnableTrustedProxyCheck {
		trusted = cfg.TrustedProxies
	}
	addr, readable := clientaddr.Find(peer, header, trusted)
	if !readable {
		s.warnUnreadableAddr(cfg.ProxyHeader, header, peer)
	}
	return remote{addr, limitedNetwork(addr)}
}

// RemoteIP returns the address of a request's client, as Handshake.RemoteIP has it. Behind a
// proxy that fiber.Config trusts (ProxyHeader, EnableTrustedProxyCheck, TrustedProxies), it is
// the rightmost address in the proxy's header that is not in TrustedProxies, without its port.
// If that cannot be read, it is the proxy's own address.
func (s *Server) RemoteIP(c *fiber.Ctx) string { return s.remoteOf(c).addr.String() }

// maxLoggedAddr bounds how many bytes of a header with addresses are logged.
const maxLoggedAddr = 100

// warnUnreadableAddr reports that a proxy's header has no address.
func (s *Server) warnUnreadableAddr(name string, header []string, peer netip.Addr) {
	value := strings.Join(header, ", ")
	if len(value) > maxLoggedAddr { // its right end counts
		value = "..." + value[len(value)-maxLoggedAddr:]
	}
	s.notices.Report(&unreadableAddrNotice, "", "header", name, "value", notice.Text(value), "proxy", peer.String())
}
