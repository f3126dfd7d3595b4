package socketbridge

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// warnOfPrefork logs, in a worker of Fiber's Prefork, what does not work there. The kernel
// gives each network connection to any of the workers, and a worker is a node of its own.
func (s *Server) warnOfPrefork() {
	if !fiber.IsChild() {
		return
	}
	var problems []string
	if s.cfg.Adapter == nil {
		problems = append(problems, "a broadcast reaches the sockets of one worker only: set Adapter to one for several processes, such as redisadapter.New")
	}
	if slices.Contains(s.cfg.Engine.WithDefaults().Transports, engineio.Polling) {
		problems = append(problems, "a polling client's requests go to different workers and get 400: set Engine.Transports to []string{engineio.WebSocket}, "+
			`and transports: ["websocket"] in the clients`)
	}
	if len(problems) > 0 {
		s.log.Warn("socketbridge: Prefork runs several processes. " + strings.Join(problems, ". ") + ". Or remove Prefork from fiber.Config: one process uses all processors")
	}
}
