package main

import (
	"context"
	_ "embed" // for the policy
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// opaPolicy does the same checks in Rego, but for copies: OPA keeps no state
// for them.
//
//go:embed opa.rego
var opaPolicy string

// addOPA starts OPA-Envoy twice: as people run it, with the body as bytes, and
// at its best, with the body as text and fewer collections. Neither parses the
// body or writes decisions down, which would slow it further.
func (f *field) addOPA(ctx context.Context, o *options) error {
	for _, kind := range []struct {
		name string
		form form
		body string
		env  []string
	}{
		{nameOPA, mapHeaders, "base64.decode(http.rawBody)", nil},
		{nameOPABest, mapAndText, "http.body", []string{"GOGC=400"}},
	} {
		if !o.wants(kind.name) {
			continue
		}
		file := filepath.Join(f.dir, fmt.Sprintf("opa-%d.rego", kind.form))
		text := strings.NewReplacer("BODY", kind.body, "KEY", key, "NETWORKS", `"`+strings.Join(networks, `", "`)+`"`).Replace(opaPolicy)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		address, err := freeAddress()
		if err != nil {
			return err
		}
		s := &server{name: kind.name, form: kind.form, grpc: address}
		f.servers = append(f.servers, s)
		s.cmd = exec.CommandContext(ctx, o.opa, "run", "--server", "--addr=127.0.0.1:0", "--log-level=error", //nolint:gosec // the operator names the binary
			"--set=plugins.envoy_ext_authz_grpc.addr="+address, "--set=plugins.envoy_ext_authz_grpc.path=bench/decision",
			"--set=plugins.envoy_ext_authz_grpc.skip-request-body-parse=true",
			"--set=plugins.envoy_ext_authz_grpc.grpc-max-recv-msg-size=8388608", file)
		s.cmd.Env = append(os.Environ(), kind.env...)
		s.cmd.Stderr = os.Stderr
		if err := s.cmd.Start(); err != nil {
			return err
		}
		if err := awaitAddress(address); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		if s.load, err = newLoader(ctx, address); err != nil {
			return err
		}
	}
	return nil
}

// freeAddress is free a moment ago: OPA-Envoy does not say which port it took.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func awaitAddress(address string) error {
	var err error
	for range int(startTimeout / (20 * time.Millisecond)) {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", address, time.Second); err == nil {
			return conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}
