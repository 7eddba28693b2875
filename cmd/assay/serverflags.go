package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/seed-1b600011/assay/web"
	"github.com/spf13/cobra"
)

// serverFlags say where a server listens and whom it answers. Every flag has a
// variable of the environment, which it outranks. Their names are such that no
// Kubernetes Service makes one of them (it sets NAME_PORT).
type serverFlags struct {
	web.Options
	tokenFile string
}

func (f *serverFlags) add(c *cobra.Command, port int) {
	c.Flags().StringVar(&f.Address, "address", os.Getenv("ASSAY_LISTEN_ADDRESS"), "`ADDRESS` to listen on (ASSAY_LISTEN_ADDRESS); default: loopback without a token, else all")
	c.Flags().IntVar(&f.Port, "port", port, "`PORT` to listen on, 0 for a free one (ASSAY_LISTEN_PORT)")
	c.Flags().StringVar(&f.tokenFile, "token-file", os.Getenv("ASSAY_LISTEN_TOKEN_FILE"), "`FILE` with the token that requests must have (ASSAY_LISTEN_TOKEN_FILE, or the token itself in ASSAY_LISTEN_TOKEN)")
	c.Flags().BoolVar(&f.Open, "open", os.Getenv("ASSAY_OPEN") == "true", "listen beyond loopback without a token (ASSAY_OPEN=true)")
	c.Flags().StringVar(&f.CertFile, "tls-cert", os.Getenv("ASSAY_TLS_CERT"), "`FILE` with the certificate, for TLS (ASSAY_TLS_CERT)")
	c.Flags().StringVar(&f.KeyFile, "tls-key", os.Getenv("ASSAY_TLS_KEY"), "`FILE` with its key (ASSAY_TLS_KEY)")
}

// listen binds the address.
func (f *serverFlags) listen(c *cobra.Command, logger *log.Logger) (*web.Server, error) {
	if text := os.Getenv("ASSAY_LISTEN_PORT"); text != "" && !c.Flags().Changed("port") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, usage{fmt.Errorf("ASSAY_LISTEN_PORT=%q is no number", text)}
		}
		f.Port = n
	}
	f.Token = os.Getenv("ASSAY_LISTEN_TOKEN")
	if f.tokenFile != "" {
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, usage{fmt.Errorf("the token: %w", err)}
		}
		if f.Token = strings.TrimSpace(string(b)); f.Token == "" {
			return nil, usage{fmt.Errorf("the token: %s is empty", f.tokenFile)}
		}
	}
	f.Log = logger
	s, err := web.Listen(f.Options)
	if err != nil {
		return nil, usage{err}
	}
	return s, nil
}
