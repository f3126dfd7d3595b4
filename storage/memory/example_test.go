package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func ExampleNew() {
	s := memory.New()
	defer s.Close()
	_, err := s.CompareAndSwap(context.Background(), "k", storage.Absent, []byte("v"), time.Hour)
	fmt.Println(err)
	_, err = s.CompareAndSwap(context.Background(), "k", storage.Absent, []byte("w"), time.Hour)
	fmt.Println(err)
	// Output:
	// <nil>
	// storage: revision conflict
}
