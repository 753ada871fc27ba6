package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

const operatorID = "spiffe://example.org/operator"

// operators is the program whose admin listener, on all addresses, asks for a
// certificate of an authority that is not the one of Envoy.
type operators struct {
	*secured
	own *envoytest.Authority
	dir string
	url string
}

func startOperators(t *testing.T, more ...string) *operators {
	t.Helper()
	o := &operators{dir: t.TempDir()}
	var err error
	if o.own, err = envoytest.NewAuthority("operators"); err != nil {
		t.Fatal(err)
	}
	cert, key, err := o.own.IssueFiles(o.dir, "admin", envoytest.Issue{})
	if err = errors.Join(err, envoytest.Replace(o.ca(), o.own.PEM)); err != nil {
		t.Fatal(err)
	}
	o.secured = startSecured(t, append([]string{"--admin-listen", "0.0.0.0:0", "--admin-tls-cert", cert, "--admin-tls-key", key,
		"--admin-tls-client-ca", o.ca(), "--admin-tls-client-sans", operatorID}, more...)...)
	o.url = "https://127.0.0.1:" + o.stderr.await(t, ` admin="?(?:\[::\]|0\.0\.0\.0):(\d+)`)[1]
	return o
}

func (o *operators) ca() string { return filepath.Join(o.dir, "ca.crt") }

// files writes a client's certificate and its key.
func (o *operators) files(t *testing.T, a *envoytest.Authority, issue envoytest.Issue) []string {
	t.Helper()
	cert, key, err := a.IssueFiles(t.TempDir(), "client", issue)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--ca", o.ca(), "--cert", cert, "--key", key}
}

// commands runs both commands that ask the listener. The first error is that of
// keys, the second that of a redelivery, which finds no such decision.
func (o *operators) commands(t *testing.T, args ...string) (keys, redelivery error) {
	t.Helper()
	root, out := newRoot(), bytes.Buffer{}
	root.SetArgs(append([]string{"keys", "--policy", o.policies, "--admin", o.url}, args...))
	root.SetOut(&out)
	if keys = root.Execute(); keys == nil && !strings.Contains(out.String(), "never seen since") {
		t.Errorf("keys knows nothing of the service:\n%s", out.String())
	}
	root = newRoot()
	root.SetArgs(append([]string{"redeliver", "--admin", o.url, "--decision", strings.Repeat("0", 32)}, args...))
	return keys, root.Execute()
}

// Who cannot show a good certificate does not reach the admin listener.
func TestAdminWithMutualTLS(t *testing.T) {
	o := startOperators(t)
	other, err := envoytest.NewAuthority("operators") // of the same name
	if err != nil {
		t.Fatal(err)
	}
	good := envoytest.Issue{URIs: []string{operatorID}}
	foreign := o.files(t, o.own, good)
	foreign[1] = o.secured.ca()
	for name, c := range map[string]struct {
		args []string
		// of the client and in the service's log; empty: it is let in.
		want, log string
	}{
		"good":            {o.files(t, o.own, good), "", ""},
		"no certificate":  {[]string{"--ca", o.ca()}, "certificate required", "didn't provide a certificate"},
		"other authority": {o.files(t, other, good), "remote error: tls: ", "certificate signed by unknown authority|ECDSA verification failure"},
		// A client does not show what the listener has not asked for.
		"Envoy's certificate": {o.files(t, o.authority, envoytest.Issue{URIs: []string{gatewayID}}), "remote error: tls: ", "didn't provide a certificate"},
		"other name":          {o.files(t, o.own, envoytest.Issue{URIs: []string{operatorID + "/x"}}), "remote error: tls: ", "none of the allowed names"},
		"expired":             {o.files(t, o.own, envoytest.Issue{URIs: good.URIs, NotAfter: time.Now().Add(-time.Minute)}), "remote error: tls: ", "certificate has expired"},
		"another service":     {foreign, "failed to verify certificate", "bad certificate|unknown certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, redelivery := o.commands(t, c.args...)
			if c.want == "" {
				if keys != nil || redelivery == nil || !strings.Contains(redelivery.Error(), "404") {
					t.Errorf("keys: %v, redeliver: %v", keys, redelivery)
				}
				return
			}
			for _, err := range []error{keys, redelivery} {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
			}
			o.stderr.await(t, `a client of the admin listener was refused.*(`+c.log+`)`)
		})
	}

	// A renewed certificate is served without a restart.
	if _, _, err := o.own.IssueFiles(o.dir, "admin", envoytest.Issue{NotAfter: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	o.stderr.await(t, `certificate not loaded, the last good one keeps serving.*expired`)
	if keys, _ := o.commands(t, o.files(t, o.own, good)...); keys != nil {
		t.Errorf("with the last good certificate: %v", keys)
	}
	first := o.serial(t, good)
	if _, _, err := o.own.IssueFiles(o.dir, "admin", envoytest.Issue{}); err != nil {
		t.Fatal(err)
	}
	o.stderr.await(t, `msg="certificate loaded" of="admin listener"`)
	if second := o.serial(t, good); second == first {
		t.Error("the old certificate is still served")
	}
	terminate(t, o.process)
}

// serial is that of the admin listener's certificate.
func (o *operators) serial(t *testing.T, issue envoytest.Issue) string {
	t.Helper()
	client := &cli.Admin{}
	files := o.files(t, o.own, issue)
	client.CA, client.Cert, client.Key = files[1], files[3], files[5]
	config, err := client.TLS("https")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(o.url, "https://"), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// The token is asked for besides the certificate, and is read again.
func TestAdminTokenChanges(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	replaceFile(t, token, newSecret())
	o := startOperators(t, "--admin-token", token)
	good := o.files(t, o.own, envoytest.Issue{URIs: []string{operatorID}})
	old := filepath.Join(t.TempDir(), "old")
	if err := copyFile(old, token); err != nil {
		t.Fatal(err)
	}
	if keys, _ := o.commands(t, good...); keys == nil || !strings.Contains(keys.Error(), "401") {
		t.Errorf("with the certificate alone: %v", keys)
	}
	if keys, _ := o.commands(t, append(good, "--token-file", old)...); keys != nil {
		t.Error(keys)
	}
	replaceFile(t, token, "short")
	o.stderr.await(t, `admin token not loaded, the last good one keeps serving.*shorter than 16 bytes`)
	if keys, _ := o.commands(t, append(good, "--token-file", old)...); keys != nil {
		t.Errorf("the last good token: %v", keys)
	}
	replaceFile(t, token, newSecret())
	o.stderr.await(t, `msg="admin token loaded"`)
	if keys, _ := o.commands(t, append(good, "--token-file", old)...); keys == nil || !strings.Contains(keys.Error(), "401") {
		t.Errorf("the token of before: %v", keys)
	}
	// As docs/transport.md says it.
	text, err := os.ReadFile(repository + "/docs/transport.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("```sh\nhookbastion (keys [^`]*)```").FindStringSubmatch(string(text))
	if found == nil {
		t.Fatal("docs/transport.md has no command")
	}
	command := strings.NewReplacer("\\\n", "", "https://hookbastion.edge.svc:9003", o.url, "--policy policies", "--policy "+o.policies,
		" ca.crt", " "+good[1], "operator.crt", good[3], "operator.key", good[5], " admin-token", " "+token).Replace(found[1])
	root, out := newRoot(), bytes.Buffer{}
	root.SetArgs(strings.Fields(command))
	root.SetOut(&out)
	if err := root.Execute(); err != nil || !strings.Contains(out.String(), "github") {
		t.Errorf("%s: %v\n%s", command, err, out.String())
	}
	terminate(t, o.process)
}

// All services of the gRPC listener ask for the same certificate: to check, to
// settle nonces with the access log, and for health.
func TestServicesAskForTheSameCertificate(t *testing.T) {
	s := startSecured(t)
	good, wrong := s.envoy(t), s.shows(t, s.authority, envoytest.Issue{URIs: []string{operatorID}})
	for name, c := range map[string]struct {
		shown *envoytest.ServiceTLS
		want  codes.Code
	}{
		"good":           {&good, codes.OK},
		"other name":     {&wrong, codes.Unavailable},
		"no certificate": {nil, codes.Unavailable},
	} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(s.authority.PEM)
		config := &tls.Config{RootCAs: roots, ServerName: "hookbastion", MinVersion: tls.VersionTLS13}
		if c.shown != nil {
			pair, err := tls.LoadX509KeyPair(c.shown.Cert, c.shown.Key)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		conn, err := grpc.NewClient(s.service.String(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), generous)
		for service, call := range map[string]func() error{
			"Check": func() error {
				_, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{})
				return err
			},
			"access log": func() error {
				stream, err := accesslogv3.NewAccessLogServiceClient(conn).StreamAccessLogs(ctx)
				if err == nil {
					_, err = stream.CloseAndRecv()
				}
				return err
			},
			"health": func() error {
				_, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
				return err
			},
		} {
			if err := call(); status.Code(err) != c.want {
				t.Errorf("%s: %s: %v, want %s", name, service, err, c.want)
			}
		}
		cancel()
		_ = conn.Close()
	}
	terminate(t, s.process)
}
