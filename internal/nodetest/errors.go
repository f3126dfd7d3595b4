package nodetest

import "errors"

// ErrEnded means that the Node process has ended. There will be no more events and answers.
var ErrEnded = errors.New("nodetest: the Node process has ended")
