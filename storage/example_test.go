package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// increment adds one to the number at key and loses no addition, however many
// others do the same.
func increment(ctx context.Context, s storage.Storage, key string) (int, error) {
	for {
		item, err := s.Load(ctx, key)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return 0, err
		}
		n, _ := strconv.Atoi(string(item.Value)) // 0 when absent, and its revision is Absent
		n++
		_, err = s.CompareAndSwap(ctx, key, item.Revision, []byte(strconv.Itoa(n)), time.Hour)
		if errors.Is(err, storage.ErrConflict) {
			continue // somebody was faster
		}
		return n, err
	}
}

func Example() {
	var anyFiberStorage storage.Basic = &naive{}
	s := storage.From(anyFiberStorage)
	defer s.Close()

	for range 3 {
		n, err := increment(context.Background(), s, "visits")
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}

// A driver takes part when its package is imported; the error names the line.
func ExampleOpen() {
	_, err := storage.Open("redis://:secret@localhost:6379/0")
	fmt.Println(err)
	// Output:
	// storage: unknown scheme "redis": add the line
	// 	import _ "github.com/fiberbridge/fiberbridge/storage/redis"
}

func ExamplePrefix() {
	s := storage.From(&naive{})
	defer s.Close()
	shop, blog := storage.Prefix(s, "shop:"), storage.Prefix(s, "blog:")
	_ = shop.Set("title", []byte("Shoes"), 0)
	_ = blog.Set("title", []byte("Thoughts"), 0)

	_ = shop.Reset() // clears shop: alone

	title, _ := blog.Get("title")
	fmt.Printf("%s\n", title)
	// Output: Thoughts
}

func ExampleFeed() {
	s := storage.From(&naive{})
	defer s.Close()
	told := make(chan storage.Change)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { told <- c })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	if err := w.Add(context.Background(), "title"); err != nil {
		fmt.Println(err)
		return
	}
	_ = s.Set("title", []byte("News"), 0)

	switch c := <-told; c.Kind {
	case storage.Written:
		fmt.Printf("%s is now %s\n", c.Key, c.Item.Value)
	case storage.Removed:
		fmt.Println(c.Key, "is gone")
	case storage.Gap:
		fmt.Println("load again what matters")
	}
	// Output: title is now News
}

func ExampleIndex() {
	s := storage.From(&naive{})
	defer s.Close()
	ctx := context.Background()
	sessions := s.(storage.Index)
	_ = sessions.AddMember(ctx, "user:7", "phone", time.Hour)
	_ = sessions.AddMember(ctx, "user:7", "laptop", time.Hour)
	_ = sessions.RemoveMember(ctx, "user:7", "phone")
	for member, err := range sessions.Members(ctx, "user:7") {
		fmt.Println(member, err)
	}
	// Output: laptop <nil>
}
