package settings

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// FuzzLoad: any text is good settings, or has faults that name their places. What is good
// is within bounds, and does not listen for everybody without TLS by accident.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"", "grpc: {listen: 0.0.0.0:9001}", "grpc: {listen: \"[::1]:1\", insecure: true}", "replay: {store: FILE, file: {path: n, sync: 0s}}",
		"replay: {store: REDIS, redis: {url: redis://h:1/0, addresses: [h:2]}}", "limits: {in_flight: 1, bytes_in_flight: 1GiB}", "grpc: {lame_duck: 1h}\n---\n",
		"source: {trusted_cidrs: [10.0.0.0/8, ::/0]}", "records: {denials_per_second: 4294967296}", "a: &a [*a]", "envoy: {max_request_bytes: 9999999999999999GiB}", "grpc: {tls: {cert: a, key: b}}",
	} {
		f.Add(text)
	}
	for _, name := range []string{"../../../../examples/quickstart/hookbastion.yaml", "../../serve/testdata/upgrade/hookbastion.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	file := filepath.Join(f.TempDir(), "s.yaml")
	place := regexp.MustCompile(`(?s)^` + regexp.QuoteMeta(file) + `:[0-9]+:[0-9]+: .`)
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(file, nil)
		if err != nil {
			var faults strictyaml.Errors
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("%q: %v", text, err)
			}
			for _, fault := range faults {
				if !place.MatchString(fault.Error()) || strings.ContainsAny(fault.Error(), "\r\x00\x1b") {
					t.Fatalf("%q: %q names no place", text, fault.Error())
				}
			}
			return
		}
		if s.Mapping.MaxRequestBytes <= 0 || s.Limits.InFlight <= 0 || s.Limits.BytesInFlight <= 0 || s.Limits.Connections <= 0 || s.MaxEntries <= 0 || s.Lease < 0 || s.UnixMode&^fs.ModePerm != 0 {
			t.Fatalf("%q: without bounds: %+v", text, s)
		}
		host, _, err := net.SplitHostPort(s.GRPCListen)
		if s.GRPCListen == "" || s.TLS != nil || s.Insecure {
			return
		}
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			t.Fatalf("%q: listens on %q without TLS", text, s.GRPCListen)
		}
	})
}
