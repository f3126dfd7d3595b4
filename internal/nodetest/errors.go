package nodetest

import "errors"

// ErrEnded says that the Node process has ended, so that nothing more will come.
var ErrEnded = errors.New("nodetest: the Node process has ended")
