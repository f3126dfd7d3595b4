package emitter_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/emitter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

// A cron job that tells users that their reports are ready.
func Example() {
	store, err := storage.Open(os.Getenv("STORAGE")) // redis://…, as the servers
	if err != nil {
		log.Print(err)
		return
	}
	defer store.Close()
	sessions := fibersession.New(fibersession.Config{Storage: store, UserKey: "user"})
	defer sessions.Close()
	out := emitter.New(emitter.Config{Adapter: redisadapter.For(store), Sessions: sessions})
	defer out.Close(context.Background())

	if err := out.ToUser("ann").Emit("report", "ready"); err != nil {
		log.Print(err) // nothing was sent, or perhaps: see adapter.ErrUnavailable and ErrUnknownOutcome
	}
}

// A job that writes to the users who are online, and sends the others a mail.
func ExampleEmitter_Online() {
	var out *emitter.Emitter // = emitter.New(…)
	notify := func(user, text string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		online, err := out.Online(ctx, user)
		if err != nil || !online {
			return sendMail(user, text)
		}
		return out.ToUser(user).Emit("note", text)
	}
	_ = notify
}

func sendMail(user, text string) error {
	_, err := fmt.Println(user, text)
	return err
}
