package scheme

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// pinOf returns what a webhook fixes of the URL that a scheme signs; nothing for
// schemes that sign none.
func pinOf(w *policyv1.Webhook, s *policyv1.Scheme) signature.Pin {
	if !provider.SignsURL(s) || !s.SignsContent() {
		if !SignsQuery(s) {
			return signature.Pin{}
		}
	}
	path := w.GetMatch().GetPath()
	last := path[strings.LastIndexByte(path, '/')+1:]
	methods := w.GetMatch().GetMethods()
	return signature.Pin{
		Query: w.PinnedQuery != nil && SignsQuery(s), Value: w.GetPinnedQuery(),
		Path:   last != "**" && !strings.HasPrefix(last, "{"),
		NoBody: len(methods) > 0 && !slices.ContainsFunc(methods, func(m string) bool { return m != "GET" && m != "HEAD" }),
	}
}

// SignsQuery reports whether an HMAC covers the query as a part that can be
// pinned.
func SignsQuery(s *policyv1.Scheme) bool {
	return slices.ContainsFunc(s.Signed().GetContent(), func(p *policyv1.Part) bool {
		return p.GetUrl() != nil && !p.GetUrl().GetWithoutQuery() || p.GetPath() != nil && !p.GetPath().GetWithoutQuery() || p.GetCode() == policyv1.Part_PLIVO_V3
	})
}

// checkBorders looks for content that can be read in several ways. Where a
// webhook can mend that by its path and query, it is up to the webhook.
func (c *Plans) checkBorders(config *signature.Config, h policyv1.Signed, at strictyaml.Place) {
	byItself, pinned := *config, *config
	byItself.Pin, pinned.Pin = signature.Pin{}, signature.Pin{Query: true, Path: true}
	open := config.Open()
	switch {
	case len(byItself.Open()) == 0 && h.GetSlides() != nil:
		c.faults.Fail(at.At("slides"), "is not so: each content can be read in one way only")
	case provider.NeedsPin(h) && len(pinned.Open()) == 0:
	case len(open) > 0 && h.GetSlides() == nil:
		words := advice(byItself, h)
		if len(pinned.Open()) == 0 {
			words = append(words, "pinned_query of the webhook and a match.path with a fixed end")
		}
		c.faults.Fail(at.At("content"), "has nothing that tells "+strings.Join(open, " and ")+" apart, so that characters could move from one to the next under the same signature; say "+
			strings.Join(append(words, "slides: {reason: …}"), ", or else "))
	}
}

// advice says what would tell the parts of the content apart, as little as will
// do; nothing if nothing would.
func advice(config signature.Config, h policyv1.Signed) []string {
	words := map[int]string{}
	plain := config.Content
	guarded := slices.Clone(plain)
	for i, p := range h.GetContent() {
		part := &guarded[i]
		switch {
		case p.GetHeader() != nil && part.Charset == signature.AnyChars:
			part.Charset, words[i] = signature.TokenChars, "charset: TOKEN (or another) of header "+p.GetHeader().GetName()
		case p.GetUrl() != nil && !part.RFC3986:
			part.RFC3986, words[i] = true, "url: {rfc3986: true}"
		case p.GetPath() != nil && !part.RFC3986:
			part.RFC3986, words[i] = true, "path: {rfc3986: true}"
		case p.GetBody() != nil && !part.WantsJSON && !p.GetBody().GetJsonString():
			part.WantsJSON, words[i] = true, "body: {json: true}"
		case p.GetForm() != nil && (!part.WantsJSON || len(part.Names) != 1):
			part.WantsJSON, part.Names, words[i] = true, []string{"x"}, "form: {names: [the one name], json: true}"
		}
	}
	config.Content = guarded
	if len(config.Open()) > 0 {
		return nil
	}
	var needed []string
	for i := range guarded {
		with := guarded[i]
		if guarded[i] = plain[i]; words[i] != "" && len(config.Open()) > 0 {
			guarded[i] = with
			needed = append(needed, words[i])
		}
	}
	return []string{strings.Join(needed, " and ")}
}
