package presence_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
)

func TestS6_EveryNoticeIsProvoked(t *testing.T) {
	t.Parallel()
	noticetest.Asserted(t, ".")
}
