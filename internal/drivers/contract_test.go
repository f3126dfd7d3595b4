package drivers_test

import (
	"flag"
	"os"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func TestMain(m *testing.M) {
	// Most tests wait for the disk or until a ttl has passed.
	_ = flag.Set("test.parallel", "16")
	os.Exit(m.Run())
}

// unlisted is a driver as an app passes it to us: without Keys.
type unlisted struct{ fiber.Storage }

func open(t *testing.T, b fiber.Storage) storage.Storage {
	s := storage.From(b)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestF7_Contract(t *testing.T) {
	t.Parallel()
	drivers(t, func(t *testing.T, _ string, newPlace func(*testing.T) place) {
		storagetest.Run(t, func(t *testing.T) storage.Storage { return open(t, unlisted{newPlace(t).open()}) },
			newPlace(t).without...)
	})
}

// With Keys, ResetPrefix deletes.
func TestF7_ContractWithKeys(t *testing.T) {
	t.Parallel()
	drivers(t, func(t *testing.T, _ string, newPlace func(*testing.T) place) {
		storagetest.TestReset(t, func(t *testing.T) storage.Storage { return open(t, newPlace(t).open()) })
	})
}
