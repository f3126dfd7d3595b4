package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// increment adds one to the number at key. Concurrent increments are all counted.
func increment(ctx context.Context, s storage.Storage, key string) (int, error) {
	for {
		item, err := s.Load(ctx, key)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return 0, err
		}
		n, _ := strconv.Atoi(string(item.Value)) // 0 if the key does not exist; its revision is then Absent
		n++
		_, err = s.CompareAndSwap(ctx, key, item.Revision, []byte(strconv.Itoa(n)), time.Hour)
		if errors.Is(err, storage.ErrConflict) {
			continue // another caller wrote first
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

// A driver is available once its package is imported. The error has the missing
// line.
func ExampleOpen() {
	_, err := storage.Open("redis://:secret@localhost:6379/0")
	fmt.Println(err)
	// Output:
	// storage: unknown scheme "redis": add the line
	// 	import _ "github.com/fiberbridge/fiberbridge/storage/redis"
}

// From adds compare-and-swap, among other things, to any fiber.Storage.
func ExampleFrom() {
	var fiberStorage storage.Basic = &naive{} // any fiber.Storage
	s := storage.From(fiberStorage)
	defer s.Close()

	ctx := context.Background()
	first, _ := s.CompareAndSwap(ctx, "title", storage.Absent, []byte("Shoes"), time.Hour)
	_, err := s.CompareAndSwap(ctx, "title", first, []byte("Boots"), time.Hour)
	fmt.Println(err)
	_, err = s.CompareAndSwap(ctx, "title", first, []byte("Socks"), time.Hour)
	fmt.Println(err)
	// Output:
	// <nil>
	// storage: revision conflict
}

func ExamplePrefix() {
	s := storage.From(&naive{})
	defer s.Close()
	shop, blog := storage.Prefix(s, "shop:"), storage.Prefix(s, "blog:")
	_ = shop.Set("title", []byte("Shoes"), 0)
	_ = blog.Set("title", []byte("Thoughts"), 0)

	_ = shop.Reset() // removes only the keys that begin with shop:

	title, _ := blog.Get("title")
	fmt.Printf("%s\n", title)
	// Output: Thoughts
}

func ExampleFeed() {
	s := storage.From(&naive{})
	defer s.Close()
	changes := make(chan storage.Change)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { changes <- c })
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

	switch c := <-changes; c.Kind {
	case storage.Written:
		fmt.Printf("%s is now %s\n", c.Key, c.Item.Value)
	case storage.Removed:
		fmt.Println(c.Key, "was removed")
	case storage.Gap:
		fmt.Println("changes may have been missed: load the keys again")
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
