package redis

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strconv"
)

// tlsOptionNames are the options that need a rediss scheme.
var tlsOptionNames = []string{"tls_ca_file", "tls_cert_file", "tls_key_file", "tls_server_name", "tls_min_version", "tls_skip_verify"}

// tlsOptions sets TLSConfig from the options of a URL.
func (cfg *Config) tlsOptions(query url.Values, secure bool) error {
	if !secure {
		for _, name := range tlsOptionNames {
			if query.Has(name) {
				return badURL(fmt.Sprintf("the option %s needs TLS: rediss, rediss-sentinel or rediss-cluster", name))
			}
		}
		return nil
	}
	option := func(name string) string {
		if all := query[name]; len(all) > 0 {
			return all[len(all)-1]
		}
		return ""
	}
	secured := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: option("tls_server_name")}
	switch option("tls_min_version") {
	case "", "1.2":
	case "1.3":
		secured.MinVersion = tls.VersionTLS13
	default:
		return badURL("the option tls_min_version must be 1.2 or 1.3")
	}
	if query.Has("tls_skip_verify") {
		var err error
		if secured.InsecureSkipVerify, err = strconv.ParseBool(option("tls_skip_verify")); err != nil {
			return badURL("the value of the option tls_skip_verify is invalid")
		}
	}
	if query.Has("tls_ca_file") {
		if secured.InsecureSkipVerify {
			return badURL("tls_ca_file and tls_skip_verify=true contradict each other: set only one")
		}
		text, err := os.ReadFile(option("tls_ca_file"))
		if err != nil {
			return badURL(fmt.Sprintf("tls_ca_file cannot be read: %v", err))
		}
		secured.RootCAs = x509.NewCertPool()
		if !secured.RootCAs.AppendCertsFromPEM(text) {
			return badURL("tls_ca_file has no certificate in PEM format")
		}
	}
	if query.Has("tls_cert_file") != query.Has("tls_key_file") {
		return badURL("tls_cert_file and tls_key_file need each other")
	}
	if query.Has("tls_cert_file") {
		pair, err := tls.LoadX509KeyPair(option("tls_cert_file"), option("tls_key_file"))
		if err != nil {
			return badURL(fmt.Sprintf("tls_cert_file and tls_key_file cannot be used: %v", err))
		}
		secured.Certificates = []tls.Certificate{pair}
	}
	cfg.TLSConfig = secured
	return nil
}
