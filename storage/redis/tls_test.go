package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	port := strconv.Itoa(redistest.FreePort(t))
	redistest.Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	addr := net.JoinHostPort("127.0.0.1", port)

	s, err := redis.New(redis.Config{Addrs: []string{addr}, TLSConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	changes := make(chan storage.Change, 1)
	w, err := s.Watch(func(c storage.Change) { changes <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; string(c.Item.Value) != "v" {
		t.Errorf("notified of %+v, want the value v", c)
	}

	// rediss:// verifies the certificate.
	var unknown x509.UnknownAuthorityError
	if _, err := storage.Open("rediss://" + addr); !errors.Is(err, storage.ErrUnavailable) || !errors.As(err, &unknown) {
		t.Errorf("Open: %v, want ErrUnavailable and x509.UnknownAuthorityError", err)
	}
}

// The TLS options of a URL, on a server that wants a certificate of its clients.
func TestTLSByURL(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	_, strangeKey, _ := certificate(t)
	otherCA, _, _ := certificate(t)
	port := strconv.Itoa(redistest.FreePort(t))
	redistest.Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert,
		"--tls-auth-clients", "yes", "--tls-protocols", "TLSv1.2")
	base := "rediss://127.0.0.1:" + port + "/0?connect_timeout=5s"
	client := "&tls_cert_file=" + cert + "&tls_key_file=" + key
	for name, tt := range map[string]struct {
		options string
		want    error
		text    string
	}{
		"all":                   {"&tls_ca_file=" + cert + client, nil, ""},
		"name":                  {"&tls_server_name=redis.example&tls_ca_file=" + cert + client, nil, ""},
		"skip_verify":           {"&tls_skip_verify=true" + client, nil, ""},
		"skip_verify=false":     {"&tls_skip_verify=false" + client, storage.ErrUnavailable, "certificate"},
		"another name":          {"&tls_server_name=other.example&tls_ca_file=" + cert + client, storage.ErrUnavailable, "other.example"},
		"another authority":     {"&tls_ca_file=" + otherCA + client, storage.ErrUnavailable, "unknown authority"},
		"the system's":          {client, storage.ErrUnavailable, "unknown authority"},
		"no client certificate": {"&tls_ca_file=" + cert, storage.ErrUnavailable, ""},
		"minimum version":       {"&tls_min_version=1.3&tls_ca_file=" + cert + client, storage.ErrUnavailable, "version"},
		"missing file":          {"&tls_ca_file=/nowhere/ca.pem", storage.ErrBadURL, "/nowhere/ca.pem"},
		"missing key":           {"&tls_cert_file=" + cert + "&tls_key_file=/nowhere/key.pem", storage.ErrBadURL, "/nowhere/key.pem"},
		"key of another":        {"&tls_cert_file=" + cert + "&tls_key_file=" + strangeKey, storage.ErrBadURL, "private key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := redis.ParseURL(base + tt.options)
			var log lockedBuffer
			if err == nil {
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				var s *redis.Storage
				if s, err = redis.New(cfg); err == nil {
					err = errors.Join(s.Set("k", []byte("v"), 0), s.Close())
				}
			}
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
			warned := strings.Contains(strings.Join(log.lines(), ""), "tls_skip_verify")
			if want := strings.Contains(tt.options, "skip_verify=true"); warned != want {
				t.Errorf("warned of skipped verification: %t, want %t: %q", warned, want, log.lines())
			}
		})
	}
}

// Users and passwords of the Sentinels and of the server differ, and both speak TLS.
func TestSentinelWithUsersAndTLS(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	secured := func() (port string, args []string) {
		port = strconv.Itoa(redistest.FreePort(t))
		return port, []string{"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-replication", "yes"}
	}
	port, args := secured()
	master := redistest.Start(t, args...)
	master.Do("acl", "setuser", "shop", "on", ">"+secret+"-m", "~*", "&*", "+@all")
	master.Do("acl", "setuser", "default", "off")
	sentinelPort := strconv.Itoa(redistest.FreePort(t))
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := "tls-port " + sentinelPort + "\ntls-cert-file " + cert + "\ntls-key-file " + key + "\ntls-ca-cert-file " + cert + "\ntls-replication yes\n" +
		"sentinel monitor m 127.0.0.1 " + port + " 1\nsentinel auth-user m shop\nsentinel auth-pass m " + secret + "-m\n" +
		"user watcher on >" + secret + "-s ~* &* +@all\nuser default off\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	redistest.StartSentinel(t, conf)

	options := "?master=m&tls_ca_file=" + cert + "&tls_cert_file=" + cert + "&tls_key_file=" + key
	users := "&sentinel_username=watcher&sentinel_password=" + secret + "-s"
	s := open(t, "rediss-sentinel://shop:"+secret+"-m@127.0.0.1:"+sentinelPort+"/0"+options+users)
	if err := s.Set("k", []byte("v"), 0); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string]string{
		"no user of the Sentinel":  "rediss-sentinel://shop:" + secret + "-m@127.0.0.1:" + sentinelPort + "/0" + options,
		"wrong user of the server": "rediss-sentinel://watcher:" + secret + "-s@127.0.0.1:" + sentinelPort + "/0" + options + users,
		"no TLS":                   "redis-sentinel://shop:" + secret + "-m@127.0.0.1:" + sentinelPort + "/0?master=m" + users,
	} {
		if _, err := storage.Open(wrong + "&connect_timeout=2s"); !errors.Is(err, storage.ErrUnavailable) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %v, want ErrUnavailable without a password", name, err)
		}
	}
}

// certificate creates a self-signed certificate for 127.0.0.1 and redis.example.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"redis.example"},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", private), pool
}
