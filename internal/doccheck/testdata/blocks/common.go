// Package blocks has what the Go blocks of all pages may use without a declaration. See
// "Blocks in the pages" in CONTRIBUTING.md.
package blocks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

var (
	app      *fiber.App
	store    storage.Storage
	sessions *fibersession.Store
	io       *socketbridge.Server
	ctx      context.Context
)
