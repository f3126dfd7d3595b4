package faulty_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// A write whose answer is lost was executed, but its caller cannot know that.
func ExampleNew() {
	s := faulty.New(memory.New(), nil)
	defer s.Close()
	s.SetPlan(faulty.OnMethod("CompareAndSwap", faulty.Fault{Lose: errors.New("cut off")}))

	_, err := s.CompareAndSwap(context.Background(), "k", storage.Absent, []byte("v"), 0)
	fmt.Println(errors.Is(err, storage.ErrUnknownOutcome))
	val, _ := s.Get("k")
	fmt.Printf("%s\n", val)
	// Output:
	// true
	// v
}
