package settings

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/envoy/mtls"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// Admin is where operators ask, and who they are.
type Admin struct {
	Listen string // empty: nowhere
	// Token and ReaderToken are files, or empty. The first gives both rights, the second
	// that to read.
	Token, ReaderToken string
	TLS                *mtls.Config // nil: none
	// Readers and Operators are names of certificates with the right to read, or both;
	// see the settings for what holds where one names none.
	Readers, Operators transport.Names
	// Hosts are names under which one may ask, in lower case.
	Hosts []string
}

// admin reads the settings of the admin listener.
func admin(m *settingsv1.Admin, fail failer) Admin {
	a := Admin{Listen: m.GetListen(), Token: m.GetToken(), ReaderToken: m.GetReaders().GetToken()}
	a.TLS = listenerTLS(m.GetTls(), "admin", a.Listen, "http/1.1", fail)
	if a.Listen != "" && hostPort(a.Listen, fail, "admin", "listen") && !Loopback(a.Listen) && a.Token == "" && !Mutual(a.TLS) {
		fail(a.Listen+" is reachable from other machines; set admin.tls with client_ca, or admin.token", "admin", "listen")
	}
	if a.ReaderToken != "" && a.Token == "" {
		fail("has no use without admin.token: whoever bears none would have both rights", "admin", "readers", "token")
	}
	for _, names := range []struct {
		of   string
		list []string
		into *transport.Names
	}{{"readers", m.GetReaders().GetClientSans(), &a.Readers}, {"operators", m.GetOperators().GetClientSans(), &a.Operators}} {
		var err error
		if *names.into, err = transport.ParseNames(names.list); err != nil {
			fail(err.Error(), "admin", names.of, "client_sans")
		}
		if len(names.list) > 0 && !Mutual(a.TLS) {
			fail("has no use without admin.tls.client_ca", "admin", names.of, "client_sans")
		}
	}
	for i, host := range m.GetHosts() {
		if _, err := netip.ParseAddr(host); err == nil || host == "" || strings.ContainsFunc(host, notInName) {
			fail("is no host name such as console.example.com, without a port", "admin", "hosts", i)
		}
		a.Hosts = append(a.Hosts, strings.ToLower(host))
	}
	return a
}

// notInName reports whether a character is in no host name.
func notInName(r rune) bool {
	return r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// minAdminToken is in bytes.
const minAdminToken = 16

// AdminToken reads a token of the admin listener.
func AdminToken(file string) (secret.Value, error) {
	value, err := secret.Ref{File: file}.Load()
	if err == nil && value.Len() < minAdminToken {
		err = errors.New("the token is shorter than 16 bytes")
	}
	return value, err
}

// check reads the tokens.
func (a *Admin) check(check func(err error, path ...any)) {
	var tokens [2]secret.Value
	for i, t := range []struct {
		file string
		path []any
	}{{a.Token, []any{"admin", "token"}}, {a.ReaderToken, []any{"admin", "readers", "token"}}} {
		if t.file == "" {
			continue
		}
		value, err := AdminToken(t.file)
		check(err, t.path...)
		if err == nil {
			tokens[i] = value
		}
	}
	if tokens[0].Len() > 0 && secret.Equal(tokens[0].Reveal(), tokens[1].Reveal()) {
		check(errors.New("is the same token as admin.token, which gives both rights"), "admin", "readers", "token")
	}
}
