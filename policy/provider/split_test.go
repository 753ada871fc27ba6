package provider_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Whoever has one delivery can send any other request whose signed content is the
// same text. For every scheme, each way to divide the content into its parts is
// tried: every border at every place, parts emptied, a time out of the body, the
// query in a form. What gets through must be in the list, and what is in the list
// must get through: it may only become shorter.
func TestContentsCanBeDividedInOneWay(t *testing.T) {
	found, tried := map[string]bool{}, 0
	for _, w := range []splitWebhook{
		{"open", "match: {path: '/a/**', methods: [POST, GET, PUT]}", false},
		{"fixed", "match: {path: /a/x}", false},
		{"fixed", "match: {path: /a/x}", true},
	} {
		eachScheme(t, func(t *testing.T, s *scheme) {
			if !s.named.GetScheme().SignsContent() || w.digest && s.hmac().GetBodyDigest() == nil {
				return
			}
			w := w
			if provider.NeedsPin(s.content()) && w.name == "fixed" {
				w.match += ", pinned_query: " + splitQuery
			}
			sp := newSplitter(t, s, w)
			sp.divide(0, "", nil)
			tried += sp.tried
			for kind := range sp.through {
				found[fmt.Sprintf("%s/%s, %s: %s", s.provider, s.named.GetName(), w.name, kind)] = true
			}
		})
	}
	if tried < 50_000 {
		t.Errorf("only %d ways were tried", tried)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "splits.txt"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			listed[line] = true
		}
	}
	for _, line := range slices.Sorted(maps.Keys(found)) {
		if !listed[line] {
			t.Errorf("a content that can be divided otherwise: %s", line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(listed)) {
		if !found[line] {
			t.Errorf("take this out of the list, it is gone: %s", line)
		}
	}
}

// splitWebhook is what a webhook says; digest: a form comes with its digest.
type splitWebhook struct {
	name, match string
	digest      bool
}

const (
	splitOrigin = "https://hooks.example.com"
	splitQuery  = "a=1&b=2"
)

// splitter divides the content of one delivery.
type splitter struct {
	s       *scheme
	table   *authz.Table
	sent    *authz.Request // the delivery
	parts   []*policyv1.Part
	texts   []string // of the parts, as they were sent
	tried   int
	through map[string]bool // what was moved
}

func newSplitter(t *testing.T, s *scheme, w splitWebhook) *splitter {
	t.Helper()
	s.write(t, "policy.yaml", fmt.Sprintf("webhooks:\n  - {name: a, %s, provider: %s, provider_scheme: %s, secrets: [{id: key-1, file: a}]%s}\n",
		w.match, s.provider, s.named.GetName(), s.parameters))
	sp := &splitter{s: s, table: s.compile(t), parts: s.content().GetContent(), through: map[string]bool{}}
	hook := sp.table.Webhook("a")
	req := s.unsigned(hook)
	req.Path = authz.View("/a/x?" + splitQuery)
	if needsPin := provider.NeedsPin(s.content()); !hook.WantsForm() && !needsPin {
		req.Body.Segments = [][]byte{[]byte(`[{"u":"` + splitOrigin + `/a/x?"},{"t":"2027-01-15T08:00:00Z[1] ","n":1800000000000,"d":"Fri, 15 Jan 2027 08:00:00 GMT"},{"a":{}}]`)}
	} else if needsPin {
		const form = "From=a.b&Text=x%3D1%26y.z"
		req.Set("content-type", "application/x-www-form-urlencoded")
		req.Body.Segments = [][]byte{[]byte(form)}
		if name := s.hmac().GetBodyDigest().GetQuery(); w.digest {
			req.Path = authz.View(fmt.Sprintf("%s&%s=%x", req.Path, name, sha256.Sum256([]byte(form))))
		}
	}
	if s.content().GetTimestamp().GetJson() != "" || s.signs(func(p *policyv1.Part) bool { return p.GetJson() != "" }) {
		req.Body.Segments = [][]byte{[]byte(`{"id":"evt_1"}`)}
	}
	if err := hook.Sign(req, authz.Signing{Now: now, Private: s.private(0), NewID: func() string { return "msg-1" }}); err != nil {
		t.Fatal(err)
	}
	sp.sent = req
	for _, p := range sp.parts {
		sp.texts = append(sp.texts, sp.text(p))
	}
	if !sp.accepted(req) {
		t.Fatal("the delivery itself is refused")
	}
	return sp
}

// text is what of the delivery a part signs; "" for what is not moved, such as a
// digest.
func (sp *splitter) text(p *policyv1.Part) string {
	req := sp.sent
	switch part := p.GetPart().(type) {
	case *policyv1.Part_Literal:
		return part.Literal
	case *policyv1.Part_Parameter:
		p, _ := provider.Get(sp.s.provider) // it was read before
		for _, parameter := range p.GetParameters() {
			if parameter.GetName() == part.Parameter {
				return parameter.GetExample()
			}
		}
		return ""
	case *policyv1.Part_Body:
		if part.Body.GetJsonString() {
			return ""
		}
		return string(req.Body.Joined())
	case *policyv1.Part_Timestamp:
		return sp.stamp()
	case *policyv1.Part_Header:
		value, _ := req.Headers.Lookup(strings.ToLower(part.Header.GetName()))
		return string(value)
	case *policyv1.Part_Method:
		return string(req.Method)
	case *policyv1.Part_Url:
		if part.Url.GetWithoutQuery() {
			return splitOrigin + string(req.PathOnly())
		}
		return splitOrigin + string(req.Path)
	case *policyv1.Part_Path:
		return string(req.Path)
	case *policyv1.Part_Form:
		return formText(req)
	case *policyv1.Part_Json:
		texts, _ := req.Body.JSON(part.Json)
		return strings.Join(texts, "")
	case *policyv1.Part_Code:
		if part.Code == policyv1.Part_PLIVO_V3 {
			return splitOrigin + "/a/x?" + splitQuery + "." + formText(req)
		}
	}
	return ""
}

// formText joins the form's parameters.
func formText(req *authz.Request) string {
	value, _ := req.Headers.Lookup("content-type")
	form, err := url.ParseQuery(string(req.Body.Joined()))
	if err != nil || !strings.HasPrefix(string(value), "application/x-www-form-urlencoded") {
		return ""
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, v := range slices.Sorted(slices.Values(form[name])) {
			b.WriteString(name + v)
		}
	}
	return b.String()
}

// stamp is the signed time as it was sent.
func (sp *splitter) stamp() string {
	t := sp.s.content().GetTimestamp()
	switch {
	case t.GetHeader() != "":
		value, _ := sp.sent.Headers.Lookup(strings.ToLower(t.GetHeader()))
		return string(value)
	case t.GetJson() != "":
		texts, _ := sp.sent.Body.JSON(t.GetJson())
		return strings.Join(texts, "")
	case t.GetField() != "":
		form, _ := url.ParseQuery(string(sp.sent.Body.Joined()))
		return form.Get(t.GetField())
	case t.GetUnit() == policyv1.Timestamp_MILLISECONDS:
		return fmt.Sprint(now.UnixMilli())
	case t.GetUnit() == policyv1.Timestamp_HTTP_DATE:
		return now.UTC().Format(http.TimeFormat)
	case t.GetUnit() == policyv1.Timestamp_RFC3339:
		return now.UTC().Format("2006-01-02T15:04:05Z")
	default:
		return fmt.Sprint(now.Unix())
	}
}

// divide gives part i and those behind it every share of what is left of the
// content. A part that is not moved keeps its place.
func (sp *splitter) divide(i int, left string, shares []string) {
	if i == 0 {
		left = strings.Join(sp.texts, "")
	}
	if i == len(sp.parts) {
		if left == "" {
			sp.try(shares)
		}
		return
	}
	begin, end := 0, len(left)
	switch p := sp.parts[i]; {
	case p.GetLiteral() != "":
		if !strings.HasPrefix(left, p.GetLiteral()) {
			return
		}
		begin, end = len(p.GetLiteral()), len(p.GetLiteral())
	case sp.texts[i] == "" && p.GetForm() == nil:
		begin, end = 0, 0
	case p.GetMethod() != nil:
		begin, end = 3, 4
	case p.GetUrl() != nil || p.GetCode() == policyv1.Part_PLIVO_V3:
		if begin = len(splitOrigin) + 1; !strings.HasPrefix(left, splitOrigin+"/") {
			return
		}
	case i == len(sp.parts)-1:
		begin = len(left)
	}
	for n := begin; n <= min(end, len(left)); n++ {
		sp.divide(i+1, left[n:], append(slices.Clip(shares), left[:n]))
	}
}

// try sends the requests whose parts have these shares.
func (sp *splitter) try(shares []string) {
	var moved []string
	for i, p := range sp.parts {
		if shares[i] != sp.texts[i] {
			moved = append(moved, partName(p))
		}
	}
	for _, v := range sp.requests(shares) {
		if len(moved) == 0 && v.inside == "" {
			continue // the delivery itself
		}
		sp.tried++
		if sp.accepted(v.req) {
			what := strings.Join(moved, " | ")
			if what == "" {
				what = v.inside
			}
			sp.through[what] = true
		}
	}
}

func partName(p *policyv1.Part) string {
	name, _, _ := strings.Cut(strings.TrimSpace(p.String()), ":")
	if p.GetHeader() != nil {
		return "header " + p.GetHeader().GetName()
	}
	return name
}

func (sp *splitter) accepted(req *authz.Request) bool {
	found := sp.table.Lookup(req)
	if found.Webhook == nil {
		return false
	}
	call := &authz.Call{Context: context.Background(), Request: req, Now: now, Webhook: "a", Tenant: found.Tenant}
	for _, check := range found.Webhook.Chain {
		// Neither its age nor that it is a copy may be what refuses it.
		if check.Stage() == authz.StageSignature && check.Run(call) != authz.OK {
			return false
		}
	}
	return found.Webhook == sp.table.Webhook("a")
}
