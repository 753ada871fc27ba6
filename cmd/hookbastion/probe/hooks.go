package probe

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/probe"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// loaded is what the policies let us sign.
type loaded struct {
	hooks    []*probe.Webhook
	unsigned []unsigned
	dir      string
}

// unsigned is a webhook of which no delivery can be made.
type unsigned struct {
	Webhook string `json:"webhook"`
	Why     string `json:"why"`
	// open: it asks for no proof, so that there is nothing to try.
	open bool
}

func (l *loaded) forget() { _ = os.RemoveAll(l.dir) } // it has no secrets

// signer makes deliveries of one webhook.
type signer struct {
	o      *options
	table  *authz.Table
	hook   *policyv1.Webhook
	body   []byte
	made   atomic.Uint64
	others map[probe.Variant]*other
}

// other is a variant of the webhook that signs, or why there is none.
type other struct {
	table   *authz.Table
	private crypto.Signer // in place of the one that was given
	err     error
}

// load compiles the policies and prepares each webhook.
func (o *options) load(cmd *cobra.Command) (*loaded, error) {
	s, err := o.policies.Settings()
	if err != nil {
		return nil, err
	}
	rules, all, err := o.compile(s)
	if err != nil {
		return nil, err
	}
	trials, _, err := o.compile(s)
	if err != nil {
		return nil, err
	}
	o.gateway.MaxRequestBytes, o.gateway.VersionHeader = s.Mapping.MaxRequestBytes, s.Mapping.Edge.TLSVersionHeader
	var body []byte
	if o.body != "" {
		if body, err = cli.ReadInput(cmd.InOrStdin(), o.body); err != nil {
			return nil, err
		}
	}
	set, err := policy.Load(o.policies.Paths...)
	if err != nil {
		return nil, err
	}
	l := &loaded{}
	if l.dir, err = os.MkdirTemp("", "hookbastion-probe-"); err != nil {
		return nil, err
	}
	if err := o.known(set.Names()); err != nil {
		return l, err
	}
	return l, set.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		if !o.wanted(w.GetName()) {
			return
		}
		sign := &signer{o: o, table: rules, hook: w, body: body}
		why := sign.prepare(rules, at.File(), l.dir, all)
		if why != nil {
			l.unsigned = append(l.unsigned, unsigned{w.GetName(), why.Error(), w.GetUnverified() != nil})
			return
		}
		l.hooks = append(l.hooks, &probe.Webhook{
			Name: w.GetName(), Policy: w, Rules: rules, Trials: trials, Sign: sign.sign,
			Asks:   sign.asks(),
			Others: slices.DeleteFunc(set.Names(), func(name string) bool { return name == w.GetName() }), Public: sign.public(),
		})
	})
}

// nonces is room for what is sent for thousands of webhooks, and for all trials.
const nonces = 1 << 22

// compile makes a table with an empty store of its own.
func (o *options) compile(s *settings.Settings) (*authz.Table, []keys.Key, error) {
	store := memory.New(memory.Config{MaxEntries: nonces})
	var settler *replay.Settler
	if s.OnlyFailures {
		settler = replay.NewSettler(store, 0, replay.SealKey{}) // a policy may contradict that
		settler.ExpectFailures()
	}
	return o.policies.Rehearse(s, store, settler)
}

// known complains of names that no webhook has.
func (o *options) known(names []string) error {
	check := func(flag string, given string) error {
		if slices.Contains(names, given) {
			return nil
		}
		return fmt.Errorf("%s: there is no webhook %q", flag, given)
	}
	var errs []error
	for _, name := range o.webhooks {
		errs = append(errs, check("--webhook", name))
	}
	for name := range o.keyOf {
		errs = append(errs, check("--key", name))
	}
	for name := range o.pathOf {
		errs = append(errs, check("--path", name))
	}
	return errors.Join(errs...)
}

// prepare says why no delivery can be made, or makes the table with other secrets.
func (s *signer) prepare(rules *authz.Table, file, dir string, all []keys.Key) error {
	if s.hook.GetUnverified() != nil {
		return errors.New("it asks for no proof: whatever is sent passes")
	}
	req, err := s.sign(probe.How{Now: time.Now()})
	if err != nil {
		return err
	}
	var private crypto.Signer
	if key := s.o.keyOf[s.hook.GetName()]; key != "" {
		if text, err := (secret.Ref{File: key}).Load(); err == nil {
			private, _ = sample.Private(text) // it may be a token
		}
	}
	public := map[string][]keys.PublicKey{}
	for i := range all {
		if all[i].Webhook == s.hook.GetName() {
			public[all[i].ID] = all[i].Public
		}
	}
	s.others = map[probe.Variant]*other{}
	for _, v := range probe.Variants() {
		changed := sample.NewOther(s.hook, file, rules.Tenant(s.hook.GetName(), string(req.PathOnly())), private, public)
		s.others[v] = s.vary(v, changed, filepath.Join(dir, fmt.Sprintf("%s-%s.json", s.hook.GetName(), v)))
		changed.Forget()
	}
	return nil
}

// vary makes a variant.
func (s *signer) vary(v probe.Variant, changed *sample.Other, file string) *other {
	w, has := changed.Policy, false
	var err error
	switch v {
	case probe.OtherSecret:
		has, err = len(w.GetSecrets())+len(w.GetToken().GetJwt().GetKeys()) > 0 || s.o.keyOf[s.hook.GetName()] != "", changed.Secrets()
	case probe.OtherToken:
		has, err = changed.Tokens()
	case probe.OtherClaims:
		if has = len(w.GetToken().GetJwt().GetClaims()) > 0; has {
			w.Token.Jwt.Claims = nil
		}
	case probe.OtherURL:
		has, w.PublicUrl = w.GetPublicUrl() != "", "https://other.example"
	case probe.Asked:
		if has = w.GetHandshake().GetMode() == policyv1.WebhookHandshake_OFF; has {
			w.Handshake.Mode = policyv1.WebhookHandshake_AUTO
		}
	}
	if !has {
		return &other{err: probe.ErrNone}
	}
	o := &other{private: changed.Private, err: err}
	if err == nil {
		o.table, o.err = s.compile(w, file)
	}
	return o
}

// compile makes a table of one webhook, whose secrets stand in variables.
func (s *signer) compile(w *policyv1.Webhook, file string) (*authz.Table, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(&policyv1.Policy{Webhooks: []*policyv1.Webhook{w}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	table, err := (&cli.Policies{Paths: []string{file}, Config: s.o.policies.Config}).Table()
	if err != nil {
		return nil, fmt.Errorf("the webhook cannot be varied: %s", cli.AsErrors(err)[0].Message)
	}
	return table, nil
}

// sign makes a delivery.
func (s *signer) sign(how probe.How) (*authz.Request, error) {
	name := s.hook.GetName()
	d := sample.Delivery{Webhook: name, KeyID: how.KeyID, Handshake: how.Handshake, Path: how.Path, Host: how.Host}
	table := s.table
	switch {
	case how.Webhook != "":
		d.Webhook, name = how.Webhook, how.Webhook
	case how.Variant != "":
		o := s.others[how.Variant]
		if o.err != nil {
			return nil, o.err
		}
		table, d.Private = o.table, o.private
	}
	if d.Path == "" {
		d.Path = s.o.pathOf[name]
	}
	if d.Private == nil && (how.Variant != probe.OtherSecret && how.Variant != probe.OtherToken) {
		d.Key = s.o.keyOf[name]
	}
	if d.Host == "" {
		d.Host = s.hostOf()
	}
	if how.Body == nil && s.body != nil && how.Handshake == "" {
		how.Body = s.another()
	}
	return d.Request(table, how.Now, how.Body)
}

// hostOf is the host that requests are for.
func (s *signer) hostOf() string {
	if s.o.host != "" {
		return s.o.host
	}
	hosts := s.hook.GetMatch().GetHosts()
	method, path := s.table.Sample(s.hook.GetName())
	found := s.table.Lookup(&authz.Request{Method: authz.View(method), Path: authz.View(path), Host: authz.View(s.o.targetHost)})
	if len(hosts) == 0 || found.Webhook != nil && found.Webhook.Name == s.hook.GetName() {
		return s.o.targetHost
	}
	return strings.Replace(hosts[0], "*", "probe", 1)
}

// another is the given body, with white space or a field at its end by which it differs from
// the one before, so that it is no copy.
func (s *signer) another() []byte {
	n := s.made.Add(1)
	switch trimmed := bytes.TrimRight(s.body, " \n\r\t"); {
	case bytes.HasSuffix(trimmed, []byte("}")), bytes.HasSuffix(trimmed, []byte("]")), bytes.HasSuffix(trimmed, []byte(">")):
		spaces := strings.NewReplacer("0", " ", "1", "\n").Replace(fmt.Sprintf("%064b", uint64(time.Now().UnixNano())+n)) //nolint:gosec // any number will do
		return append(bytes.Clone(trimmed), spaces...)
	case s.table.Webhook(s.hook.GetName()).WantsForm():
		return fmt.Appendf(bytes.Clone(trimmed), "&probe=%d.%d", time.Now().UnixNano(), n)
	default:
		return s.body
	}
}

// public are the public keys, in PEM form.
func (s *signer) public() [][]byte {
	name := s.o.keyOf[s.hook.GetName()]
	if name == "" {
		return nil
	}
	text, err := (secret.Ref{File: name}).Load()
	if err != nil {
		return nil
	}
	private, err := sample.Private(text)
	if err != nil {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil || (&publickey.Key{Public: private.Public()}).Kind() == 0 {
		return nil
	}
	return [][]byte{pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
}

// asks are the handshakes that the provider has and the policy does not answer.
func (s *signer) asks() []string {
	if o := s.others[probe.Asked]; o.err == nil {
		if h := o.table.Webhook(s.hook.GetName()).Handshakes; h != nil {
			return h.Names()
		}
	}
	return nil
}
