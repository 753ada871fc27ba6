package starter

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/provider/page"
)

// print lists what was written, and what is left to do.
func (o *options) print(out io.Writer, written []cli.NewFile, webhooks []*webhook, tested bool) error {
	var b strings.Builder
	for _, f := range written {
		b.WriteString(filepath.Join(o.dir, f.Name))
		if f.Secret {
			b.WriteString(" (0600)")
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nNext:\n")
	n := 0
	step := func(format string, args ...any) {
		n++
		fmt.Fprintf(&b, "%2d. %s\n", n, fmt.Sprintf(format, args...))
	}
	if filepath.Clean(o.dir) != "." {
		step("cd %s", cli.Printable(o.dir))
	}
	for _, w := range webhooks {
		for _, text := range w.steps(cmp.Or(o.host, "YOUR-HOST")) {
			step("%s: %s", w.name, text)
		}
	}
	step("hookbastion validate --config %s %s", settingsFile, cli.DefaultPolicies)
	if tested {
		step("hookbastion test --config %s %s", settingsFile, cli.DefaultPolicies)
	}
	step("hookbastion serve --config %s", settingsFile)
	step("envoy -c %s, which has no TLS: hookbastion envoy config --config %s --certificate FILE --key FILE prints one that has", envoyFile, settingsFile)
	_, err := io.WriteString(out, b.String())
	return err
}

// steps are what is left to do for one webhook.
func (w *webhook) steps(host string) (steps []string) {
	first := provider.First(w.provider)
	where := ""
	if w.provider.GetSecret() != "" {
		where = " It is here: " + w.provider.GetSecret()
	}
	for _, k := range w.keys {
		file := secretsDir + "/" + k.file
		switch {
		case !k.isNew:
		case k.credential:
			steps = append(steps, "put into "+file+" what the provider gave you to fetch its keys with; a random text stands there, and nothing passes."+where)
		case first.Public():
			steps = append(steps, "put the provider's public key into "+file+"; one stands there that nobody can sign for, and nothing passes."+where)
		default:
			steps = append(steps, "put the provider's secret into "+file+", or give the provider the new one that stands there; until both have the same, nothing passes."+where)
		}
	}
	if key, example := page.KeyID(w.provider); key != "" {
		steps = append(steps, fmt.Sprintf("in %s/%s, write the provider's name of the secret in place of %s: %s", cli.DefaultPolicies, policyFile, key, example))
	}
	for _, h := range w.provider.GetHandshakes() {
		if needs := page.SetUp(h); needs != "nothing" {
			steps = append(steps, fmt.Sprintf("where the provider asks by the handshake %s, the webhook needs %s: hookbastion providers show %s", h.GetName(), needs, w.provider.GetName()))
		}
	}
	return append(steps, "have the provider deliver to https://"+host+w.path)
}
