package blocks

import "github.com/fiberbridge/fiberbridge/socketbridge/inspector"

func isAdministrator(user string) bool { panic(0) }
