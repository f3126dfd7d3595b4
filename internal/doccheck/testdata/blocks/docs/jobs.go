package blocks

import (
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/emitter"
)

var (
	jobs  sync.WaitGroup
	names []string
)

func build() string { panic(0) }
