package drivers_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/storage/postgres/v3"
	"github.com/jackc/pgx/v5"
)

// postgresServer is a PostgreSQL that runs for one test. It listens on a Unix socket in a
// temporary folder only, and keeps its data there.
type postgresServer struct {
	dir string       // of the socket
	n   atomic.Int32 // schemas created
}

// postgresUser is the user that runs PostgreSQL if the tests run as root, whom PostgreSQL
// refuses. Debian's package creates it.
const postgresUser = "postgres"

// startPostgres starts a server. Without PostgreSQL it fails the test if CI is set, and
// skips it otherwise.
func startPostgres(t *testing.T) *postgresServer {
	t.Helper()
	bin, err := postgresPrograms()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%v, and CI is set: install PostgreSQL (Debian: apt-get install postgresql)", err)
		}
		t.Skip("SKIPPED: needs PostgreSQL (Debian: apt-get install postgresql)")
	}
	attributes, owner := postgresOwner(t)
	// Not t.TempDir: its parents are closed to other users, and its long names do not fit
	// into the address of a socket.
	dir, err := os.MkdirTemp("", "fbpg")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chown(dir, owner, -1))
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, attributes
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+dir)
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-U", "fiber", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	var log bytes.Buffer // read only after the server has exited
	server := run("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300")
	server.Stdout, server.Stderr = &log, &log
	must(t, server.Start())
	exited := make(chan struct{})
	go func() { // ends with the process; the cleanup waits for it
		_ = server.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // a fast shutdown
		select {
		case <-exited:
		case <-time.After(10 * time.Second):
			_ = server.Process.Signal(syscall.SIGQUIT) // an immediate one, which ends its children too
			<-exited
		}
	})
	s := &postgresServer{dir: dir}
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := pgx.Connect(t.Context(), s.uri("postgres"))
		if err == nil {
			must(t, conn.Close(t.Context()))
			return s
		}
		select {
		case <-exited:
			t.Fatalf("PostgreSQL has ended: %v\n%s", err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL does not answer: %v", err)
		}
	}
}

// uri returns the connection string of a database.
func (s *postgresServer) uri(database string) string {
	return fmt.Sprintf("postgresql:///%s?host=%s&user=fiber&sslmode=disable", database, s.dir)
}

// newConfig returns the configuration of a driver with an empty table. Each has a schema of
// its own, because the driver names the index of every table e.
func (s *postgresServer) newConfig(t *testing.T) postgres.Config {
	t.Helper()
	schema := fmt.Sprint("app", s.n.Add(1))
	conn, err := pgx.Connect(t.Context(), s.uri("postgres"))
	must(t, err)
	_, err = conn.Exec(t.Context(), "CREATE SCHEMA "+schema)
	must(t, err)
	must(t, conn.Close(t.Context()))
	return postgres.Config{ConnectionURI: s.uri("postgres") + "&pool_max_conns=8", Table: schema + ".sessions"}
}

// postgresPrograms returns the folder of initdb and postgres. Debian has them outside of
// the PATH, in a folder for each version.
func postgresPrograms() (string, error) {
	if program, err := exec.LookPath("initdb"); err == nil {
		program, err = filepath.EvalSymlinks(program)
		return filepath.Dir(program), err
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("initdb is not installed"), err)
	}
	return filepath.Dir(slices.Max(found)), nil
}

// postgresOwner returns the attributes of the server's processes and the owner of its files.
func postgresOwner(t *testing.T) (*syscall.SysProcAttr, int) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil, os.Geteuid()
	}
	u, err := user.Lookup(postgresUser)
	if err != nil {
		t.Fatalf("PostgreSQL does not run as root, and there is no user to run it: %v", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	must(t, err)
	gid, err := strconv.Atoi(u.Gid)
	must(t, err)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, uid
}
