package redis_test

import (
	"log"
	"os"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

func Example() {
	// REDIS=redis://user:password@localhost:6379/0?prefix=shop:
	s, err := storage.Open(os.Getenv("REDIS"))
	if err != nil {
		log.Fatal(err) // never contains the password
	}
	defer s.Close()
}

func ExampleNew() {
	s, err := redis.New(redis.Config{
		Addrs:    []string{"sentinel1:26379", "sentinel2:26379", "sentinel3:26379"},
		Master:   "mymaster",
		Password: os.Getenv("REDIS_PASSWORD"),
		Prefix:   "shop:",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
}
