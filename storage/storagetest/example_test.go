package storagetest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// A write whose answer is lost has happened, and its caller cannot know.
func ExampleFaulty() {
	s := storagetest.NewFaulty(memory.New(), nil)
	defer s.Close()
	s.SetPlan(storagetest.OnMethod("CompareAndSwap", storagetest.Fault{Lose: errors.New("cut off")}))

	_, err := s.CompareAndSwap(context.Background(), "k", storage.Absent, []byte("v"), 0)
	fmt.Println(errors.Is(err, storage.ErrUnknownOutcome))
	val, _ := s.Get("k")
	fmt.Printf("%s\n", val)
	// Output:
	// true
	// v
}
