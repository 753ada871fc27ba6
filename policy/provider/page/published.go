package page

import (
	"fmt"
	"strings"

	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// credentialSnippet gives what the provider asks for before it gives its keys; nothing
// if it gives them to everybody.
func credentialSnippet(published *policyv1.Published, name string) string {
	var given []string
	for _, credential := range provider.Credentials(published) {
		given = append(given, fmt.Sprintf("{name: %s, file: ../secrets/%s-%[1]s}", credential, name))
	}
	if len(given) == 0 {
		return ""
	}
	if len(given) > 1 { // one a line
		return "    credentials:\n      - " + strings.Join(given, "\n      - ") + "\n"
	}
	return "    credentials: [" + given[0] + "]\n"
}

// publishedWords say where the keys are fetched.
func publishedWords(p *policyv1.Published) string {
	if p == nil {
		return ""
	}
	words := "fetched from " + strings.Join(p.GetUrls(), " or ")
	switch p.GetName() {
	case policyv1.Published_URL:
		words += ", of which a delivery names one"
	case policyv1.Published_PATH:
		words += ", whose path a delivery names"
	default:
	}
	if names := p.GetCertificate().GetNames(); len(names) > 0 {
		words += "; a certificate, signed by an authority, with the name " + strings.Join(names, " or ")
	}
	return "; " + words + ", unless secrets has it"
}
