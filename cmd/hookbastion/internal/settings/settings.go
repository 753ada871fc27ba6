// Package settings reads the settings of the service: a file, variables and flags
// laid over it, and a default for what nobody has said.
package settings

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/source"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/assertion"
	"github.com/hookbastion/hookbastion/envoy/captures"
	"github.com/hookbastion/hookbastion/envoy/mtls"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// Settings are the server's settings with all defaults filled in.
type Settings struct {
	GRPCListen string
	UnixPath   string
	UnixMode   os.FileMode
	Insecure   bool
	TLS        *mtls.Config // nil: none
	LameDuck   time.Duration
	Assertion  assertion.Config
	HTTPListen string
	Policies   []string
	Tenants    int
	Mapping    envoy.Mapping
	Limits     envoy.Limits
	MaxEntries int
	MaxPending int
	SetupUntil time.Time // until then an empty store is a new one
	File       *File     // nil: nonces are not kept in a file
	Redis      *Redis    // nil: nor in Redis
	// Lease is 0 where there is no access log. OnlyFailures says that it has the
	// deliveries that failed, and no others.
	Lease        time.Duration
	OnlyFailures bool
	// ShortMetadata is envoy.metadata: ID.
	ShortMetadata bool
	Admin         Admin
	Records       string
	// RecordsOTLP sends the records to a collector, too.
	RecordsOTLP bool
	Denials     int
	// LeaveOut are reasons whose decisions get no records.
	LeaveOut []authz.Reason
	Fetch    Fetch
	Ranges   ranges.Config
	Monitor  Monitor
	// Capture keeps denied requests; nil: none are kept.
	Capture  *captures.Config
	LogLevel slog.Level
	LogJSON  bool
}

// Settings applies the defaults and looks for values that cannot work.
func (v *Values) Settings() (*Settings, error) {
	m := v.message
	s := &Settings{
		GRPCListen:  m.GetGrpc().GetListen(),
		UnixPath:    m.GetGrpc().GetUnix().GetPath(),
		Insecure:    m.GetGrpc().GetInsecure(),
		LameDuck:    2 * time.Second,
		HTTPListen:  cmp.Or(m.GetHttp().GetListen(), "127.0.0.1:9002"),
		Policies:    m.GetPolicy().GetDirectories(),
		Tenants:     int(cmp.Or(m.GetPolicy().GetTenants(), tenant.DefaultEntries)),
		MaxEntries:  int(cmp.Or(m.GetReplay().GetMaxEntries(), 4_000_000)),
		MaxPending:  int(cmp.Or(m.GetReplay().GetMaxPending(), 262_144)),
		Lease:       time.Minute,
		Records:     cmp.Or(m.GetRecords().GetFile(), "-"),
		RecordsOTLP: m.GetRecords().GetOtlp(),
		Denials:     int(cmp.Or(m.GetRecords().GetDenialsPerSecond(), 100)),
	}
	s.LogLevel, s.LogJSON = levels[m.GetLog().GetLevel()], m.GetLog().GetFormat() == "json"
	if s.GRPCListen == "" && s.UnixPath == "" {
		s.GRPCListen = "127.0.0.1:9001"
	}
	if len(s.Policies) == 0 {
		s.Policies = []string{"policies"}
	}
	var errs strictyaml.Errors
	fail := func(message string, path ...any) { errs = append(errs, v.fault(path, message)) }

	hostPort(s.HTTPListen, fail, "http", "listen")
	for i, word := range m.GetRecords().GetLeaveOut() {
		var reason authz.Reason
		if reason.UnmarshalText([]byte(word)) != nil {
			fail(strconv.Quote(word)+" is no reason; docs/reasons.md lists them", "records", "leave_out", i)
		}
		s.LeaveOut = append(s.LeaveOut, reason)
	}
	mode, err := strconv.ParseUint(cmp.Or(m.GetGrpc().GetUnix().GetMode(), "0660"), 8, 9)
	if err != nil {
		fail("must be an octal file mode such as 0660", "grpc", "unix", "mode")
	}
	s.UnixMode = os.FileMode(mode)
	if s.UnixPath == "" && m.GetGrpc().GetUnix() != nil {
		fail("is missing", "grpc", "unix", "path")
	}
	s.Assertion = assertions(m.GetAssertion(), fail)
	if lame := m.GetGrpc().GetLameDuck(); lame != nil {
		s.LameDuck = lame.AsDuration()
	}
	// The Unix socket has no TLS: its mode says who may connect.
	s.TLS = listenerTLS(m.GetGrpc().GetTls(), "grpc", s.GRPCListen, "h2", fail)
	if s.GRPCListen != "" && hostPort(s.GRPCListen, fail, "grpc", "listen") && !Loopback(s.GRPCListen) && !s.Insecure && !Mutual(s.TLS) {
		fail(s.GRPCListen+" is reachable from other machines; set grpc.tls with client_ca, or grpc.insecure: true if only Envoy can reach it", "grpc", "listen")
	}
	if lease := m.GetReplay().GetLease(); lease != nil {
		s.Lease = lease.AsDuration()
	}
	switch m.GetReplay().GetAccessLog() {
	case settingsv1.Replay_FALSE:
		s.Lease = 0
	case settingsv1.Replay_FAILURES:
		s.OnlyFailures = true
	default:
	}
	s.ShortMetadata = m.GetEnvoy().GetMetadata() == settingsv1.Envoy_ID
	s.Fetch = fetches(m.GetFetch(), fail)
	s.Ranges = publishedRanges(m.GetRanges(), s.Fetch.Directory, fail)
	s.SetupUntil = timeOf(m.GetReplay().GetSetupUntil(), fail, "replay", "setup_until")
	s.File = nonceFile(m.GetReplay(), fail)
	s.Redis = nonceRedis(m.GetReplay(), fail)
	if s.Redis != nil && s.Redis.Config.SetupUntil.IsZero() {
		s.Redis.Config.SetupUntil = s.SetupUntil
	}
	s.Admin = admin(m.GetAdmin(), fail)
	s.Monitor = monitoring(m.GetMonitor(), s.File, fail)
	s.Capture = capturing(m.GetCapture(), s.Admin.Listen, fail)
	body := int64(cmp.Or(m.GetEnvoy().GetMaxRequestBytes(), 1<<20))
	s.Mapping = envoy.Mapping{
		MaxRequestBytes: body, StringBody: stringBody(m), Decompressed: m.GetEnvoy().GetDecompressed(),
		Source: hops(m, fail), Edge: envoyEdge(m, fail),
	}
	s.Limits = envoy.Limits{
		MaxRequestBytes: body,
		InFlight:        int(cmp.Or(m.GetLimits().GetInFlight(), 1024)),
		BytesInFlight:   int64(cmp.Or(m.GetLimits().GetBytesInFlight(), 256<<20)),
		Connections:     int(cmp.Or(m.GetLimits().GetConnections(), 64)),
		Shutdown:        10 * time.Second,
	}
	if shutdown := m.GetLimits().GetShutdown(); shutdown != nil {
		s.Limits.Shutdown = shutdown.AsDuration()
	}
	if least := envoy.MinBytesInFlight(body); s.Limits.BytesInFlight < least {
		fail(fmt.Sprintf("must be at least %d, or no body of envoy.max_request_bytes gets in", least), "limits", "bytes_in_flight")
	}
	return s, errs.Err()
}

// File is a directory with a log of nonces.
type File struct {
	Path string
	Sync time.Duration
}

func nonceFile(m *settingsv1.Replay, fail func(string, ...any)) *File {
	if m.GetStore() != settingsv1.Replay_FILE {
		if m.GetFile() != nil {
			fail("needs replay.store: FILE", "replay", "file")
		}
		return nil
	}
	f := &File{Path: m.GetFile().GetPath(), Sync: 100 * time.Millisecond}
	if f.Path == "" {
		fail("is missing", "replay", "file", "path")
	}
	if sync := m.GetFile().GetSync(); sync != nil {
		f.Sync = sync.AsDuration()
	}
	if f.Sync > 0 && f.Sync < time.Millisecond {
		fail("must be 0s or at least 1ms", "replay", "file", "sync")
	}
	return f
}

func stringBody(m *settingsv1.Settings) envoy.StringBody {
	switch m.GetEnvoy().GetStringBody() {
	case settingsv1.Envoy_REFUSE:
		return envoy.StringBodyRefuse
	case settingsv1.Envoy_TRUST:
		return envoy.StringBodyTrust
	default:
		return envoy.StringBodyExact
	}
}

// envoyEdge reads what is said of Envoy's place.
func envoyEdge(m *settingsv1.Settings, fail func(string, ...any)) envoy.Edge {
	e := envoy.Edge{First: m.GetEnvoy().GetEdge(), TLSVersionHeader: strings.ToLower(m.GetEnvoy().GetTlsVersionHeader())}
	if e.First && (m.GetSource().GetTrustedHops() > 0 || len(m.GetSource().GetTrustedCidrs()) > 0) {
		fail("contradicts source, which names proxies in front of Envoy", "envoy", "edge")
	}
	return e
}

// Proofs is what the settings let the service know of a sender's connection.
func (s *Settings) Proofs() policy.Proofs {
	return policy.Proofs{
		Forwarded: s.Mapping.Edge.First || s.Mapping.Source.TrustedHops > 0 || len(s.Mapping.Source.TrustedCIDRs) > 0,
		Version:   s.Mapping.Edge.TLSVersionHeader != "",
	}
}

func hops(m *settingsv1.Settings, fail func(string, ...any)) source.Resolver {
	r := source.Resolver{TrustedHops: int(m.GetSource().GetTrustedHops())}
	for i, cidr := range m.GetSource().GetTrustedCidrs() {
		prefix, err := ranges.ParsePrefix(cidr)
		if err != nil {
			fail("is not a network such as 10.0.0.0/8 or an address", "source", "trusted_cidrs", i)
		}
		r.TrustedCIDRs = append(r.TrustedCIDRs, prefix)
	}
	if r.TrustedHops > 0 && len(r.TrustedCIDRs) > 0 {
		fail("contradicts trusted_hops; give one of them", "source", "trusted_cidrs")
	}
	return r
}

// levels of the log; the zero value is that of none.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// hostPort reports whether an address can be listened on.
func hostPort(address string, fail failer, path ...any) bool {
	_, port, err := net.SplitHostPort(address)
	if err == nil && port != "" {
		if _, err = net.LookupPort("tcp", port); err == nil {
			return true
		}
	}
	fail(fmt.Sprintf("must be HOST:PORT, such as 127.0.0.1:9001, or :9001 for all addresses of the machine; not %q", address), path...)
	return false
}

// Loopback reports whether only this machine can reach the address.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// timeOf reads a time; zero if there is none.
func timeOf(text string, fail failer, path ...any) time.Time {
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		fail("must be a time such as 2026-12-01T00:00:00Z", path...)
	}
	return at
}

// assertions reads the settings of assertions; without files there are none.
func assertions(m *settingsv1.Assertion, fail func(string, ...any)) assertion.Config {
	c := assertion.Config{Files: m.GetKeys(), TTL: time.Minute, Issuer: cmp.Or(m.GetIssuer(), "hookbastion")}
	if m.GetTtl() != nil {
		c.TTL = m.GetTtl().AsDuration()
	}
	if m != nil && len(c.Files) == 0 {
		fail("is missing", "assertion", "keys")
	}
	return c
}
