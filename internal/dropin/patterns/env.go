package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"math/big"
	"net"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/gofiber/storage/redis/v3"

	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

// env is what a pattern gets from outside.
type env struct {
	kind     string
	redis    string
	database int // of Redis, for this pattern alone
}

// storage returns the storage for a session.Config: nil for the default, or Redis through
// Fiber's driver or through this project's.
func (e env) storage() fiber.Storage {
	switch e.kind {
	case "default":
		return nil
	case "driver":
		host, port, err := net.SplitHostPort(e.redis)
		if err != nil {
			log.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			log.Fatal(err)
		}
		return redis.New(redis.Config{Host: host, Port: n, Database: e.database, PoolSize: 2})
	case "own":
		return storage.MustOpen(fmt.Sprintf("redis://%s/%d", e.redis, e.database))
	}
	panic("unknown storage: " + e.kind)
}

// dump answers with the session as the visitor has it. It saves nothing.
func dump(c *fiber.Ctx, store *session.Store) error {
	sess, err := store.Get(c)
	if err != nil {
		return err
	}
	data := map[string]string{}
	for _, key := range sess.Keys() {
		data[key] = describe(sess.Get(key))
	}
	login := "none"
	if v := sess.Get("user"); v != nil {
		login = describe(v)
	}
	return c.JSON(fiber.Map{"known": !sess.Fresh(), "login": login, "data": data})
}

// describe returns a value's type and content.
func describe(v any) string {
	if b, err := json.Marshal(v); err == nil {
		return fmt.Sprintf("%T %s", v, b)
	}
	return fmt.Sprintf("%T %v", v, v)
}

// selfSigned returns a certificate that the tests do not check.
func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
