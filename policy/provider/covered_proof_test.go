package provider_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// What the oracle of covered_test.go takes for a proof.

// items splits a KEY_VALUE header; BASE64_JSON is one as well.
func (x *weigher) items(s *policyv1.Signature, text string) (items [][2]string) {
	if s.GetGrammar() == policyv1.Signature_BASE64_JSON {
		object, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			fail("%v", err)
		}
		members, ok := parse(object).([]member)
		if !ok {
			fail("no object")
		}
		for _, m := range members {
			items = append(items, [2]string{m.key, fmt.Sprint(m.value)})
		}
		return items
	}
	separator := s.GetSeparator()
	if separator == "" {
		separator = ","
	}
	for item := range strings.SplitSeq(text, separator) {
		key, value, _ := strings.Cut(strings.Trim(item, " "), "=")
		items = append(items, [2]string{key, value})
	}
	return items
}

// item returns the one value of an item of the signature's header.
func (x *weigher) item(s *policyv1.Signature, key string) string {
	var found []string
	for _, item := range x.items(s, x.must(s.GetHeaders()[0])) {
		if item[0] == key {
			found = append(found, item[1])
		}
	}
	return one(found, key)
}

// proof notes the signatures that may count.
func (x *weigher) proof(s policyv1.Signed) {
	place := s.GetSignature()
	hexadecimal := s.GetEncoding() == policyv1.Hmac_HEX
	add := func(text string) {
		if hexadecimal { // either letter case
			text = strings.ToLower(text)
		}
		x.w.proofs = append(x.w.proofs, text)
	}
	switch {
	case place.GetJson() != "":
		add(x.jsonText(place.GetJson()))
	case place.GetField() != "":
		add(one(x.form()[place.GetField()], place.GetField()))
	case place.GetQuery() != "":
		add(one(x.query()[place.GetQuery()], place.GetQuery()))
	case place.GetNumbered():
		for i := range 100 {
			for _, text := range x.r.all(fmt.Sprintf("%s-%d", place.GetHeaders()[0], i+1)) {
				add(text)
			}
		}
	default:
		for _, name := range place.GetHeaders() {
			all := x.r.all(name)
			if len(all) > 1 && !place.GetRepeated() {
				fail("%s is there twice", name)
			}
			for _, text := range all {
				x.candidates(place, text, add)
			}
		}
	}
}

func (x *weigher) candidates(place *policyv1.Signature, text string, add func(string)) {
	prefix := place.GetPrefix()
	with := func(item string) {
		if rest, ok := strings.CutPrefix(item, prefix); ok {
			add(rest)
		}
	}
	switch place.GetGrammar() {
	case policyv1.Signature_PREFIX:
		if place.GetPrefixOptional() && !strings.HasPrefix(text, prefix) {
			add(text)
		}
		with(text)
	case policyv1.Signature_KEY_VALUE, policyv1.Signature_BASE64_JSON:
		for _, item := range x.items(place, text) {
			if item[0] == place.GetKey() {
				add(item[1])
			}
		}
	case policyv1.Signature_SPACE_LIST:
		for item := range strings.SplitSeq(text, " ") {
			if rest, ok := strings.CutPrefix(item, prefix+","); ok {
				add(rest)
			}
		}
	case policyv1.Signature_PREFIX_LIST:
		for item := range strings.SplitSeq(text, ",") {
			with(strings.Trim(item, " "))
		}
	case policyv1.Signature_POSITIONAL, policyv1.Signature_LIST:
		for item := range strings.SplitSeq(text, ",") {
			add(strings.Trim(item, " "))
		}
	case policyv1.Signature_CREDENTIAL:
		word, rest, _ := strings.Cut(text, " ")
		if strings.EqualFold(word, prefix) {
			add(after(rest, ":")) // the id is not looked at
		}
	case policyv1.Signature_KEY_HASH_LIST:
		for item := range strings.SplitSeq(text, ",") {
			parts := strings.Split(strings.Trim(item, " "), "/")
			if len(parts) == 3 && parts[1] == prefix {
				add(parts[2])
			}
		}
	default:
		add(text)
	}
}

// behind returns what follows a word in either letter case.
func behind(word, text string) string {
	if word == "" {
		return text
	}
	first, rest, _ := strings.Cut(text, " ")
	if !strings.EqualFold(first, word) {
		fail("not %s", word)
	}
	return strings.TrimLeft(rest, " ")
}

func (x *weigher) token(k *policyv1.SharedToken) {
	switch place := k.GetPlace().(type) {
	case *policyv1.SharedToken_Header:
		x.w.proofs = []string{behind(k.GetScheme(), x.must(place.Header))}
	case *policyv1.SharedToken_Basic:
		pair, err := base64.StdEncoding.Strict().DecodeString(behind("Basic", x.must("authorization")))
		if err != nil {
			fail("%v", err)
		}
		x.w.proofs = []string{string(pair)}
	case *policyv1.SharedToken_Query:
		x.w.proofs = []string{one(x.query()[place.Query], place.Query)}
	case *policyv1.SharedToken_Json:
		x.w.proofs = []string{strings.Join(x.jsonTexts(place.Json), "\n")}
	}
}

func (x *weigher) jws(j *policyv1.Jws) {
	var tokens []string
	switch {
	case j.GetHeader() != "":
		tokens = []string{behind(j.GetScheme(), x.must(j.GetHeader()))}
	case j.GetQuery() != "":
		tokens = []string{one(x.query()[j.GetQuery()], j.GetQuery())}
	case j.GetJson() != "":
		tokens = x.jsonTexts(j.GetJson())
	default:
		tokens = []string{string(x.body())}
	}
	x.w.proofs = []string{strings.Join(tokens, "\n")}
	if j.GetBody() != nil || j.GetDetached() != nil {
		x.text(string(x.body()))
	}
	if j.GetAlone() {
		x.text(x.meaning())
	}
	if j.GetUrl() != nil {
		x.text(x.r.host, x.r.path)
	}
	if j.GetAudienceUrl() {
		x.text(x.r.host, before(x.r.path, "?"))
	}
	if j.GetQueryHash() {
		x.text(x.r.method, before(x.r.path, "?"), sorted(x.query()))
	}
	if d := j.GetDetached(); d != nil {
		if d.GetRequestLine() {
			x.text(x.r.method, x.r.path)
		}
		if d.GetListed() != "" {
			head, err := base64.RawURLEncoding.DecodeString(before(tokens[0], "."))
			if err != nil {
				fail("%v", err)
			}
			for name := range strings.SplitSeq(fmt.Sprint(first(parse(head), d.GetListed())), ",") {
				x.text(x.must(strings.TrimSpace(name)))
			}
		}
	}
	for _, claim := range j.GetClaims() {
		if claim.GetJson() != "" {
			x.text(x.jsonTexts(claim.GetJson())...)
		}
	}
}

var quotedName = regexp.MustCompile(`"([^"]+)"((?:;[a-z]+(?:="[^"]*")?)*)`)

// message weighs a signature of the message: what it covers is what its own list names,
// which is signed too.
func (x *weigher) message(h *policyv1.HttpSignature) {
	input, signature := x.must("signature-input"), x.must("signature")
	x.text(input)
	// Bits beyond the last byte do not count (RFC 8941 §4.2.7).
	text := strings.TrimSuffix(after(signature, "=:"), ":")
	if h.GetBase64Url() && !strings.ContainsAny(text, "+/=") {
		text = strings.NewReplacer("-", "+", "_", "/").Replace(text) + strings.Repeat("=", -len(text)&3)
	}
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		fail("%v", err)
	}
	x.w.proofs = []string{before(signature, "=:") + string(bytes)}
	list := before(after(input, "("), ")")
	covered := map[string]bool{}
	for _, m := range quotedName.FindAllStringSubmatch(list, -1) {
		covered[m[1]] = true
		switch m[1] {
		case "@method":
			x.text(x.r.method)
		case "@authority":
			x.text(strings.TrimSuffix(strings.ToLower(x.r.host), ":443"))
		case "@target-uri":
			x.text(strings.TrimSuffix(strings.ToLower(x.r.host), ":443"), x.r.path)
		case "@request-target":
			x.text(x.r.path)
		case "@path":
			x.text(before(x.r.path, "?"))
		case "@query":
			x.text(after(x.r.path, "?"))
		case "content-digest", "digest":
			x.text(strings.Trim(x.must(m[1]), " \t"), string(x.body()))
		default:
			x.text(strings.Trim(x.must(m[1]), " \t"))
		}
	}
	for _, name := range h.GetRequiredIfPresent() {
		if there := len(x.r.all(name)) > 0 || name == "@query" && strings.Contains(x.r.path, "?"); there && !covered[name] {
			fail("%s is not covered", name)
		}
	}
}

func (x *weigher) code(name policyv1.Code_Name) {
	if name == policyv1.Code_BRAINTREE {
		x.text(one(x.form()["bt_payload"], "bt_payload"))
		x.w.proofs = strings.Split(one(x.form()["bt_signature"], "bt_signature"), "&")
		for i, pair := range x.w.proofs {
			id, mac, _ := strings.Cut(pair, "|")
			x.w.proofs[i] = id + "|" + strings.ToLower(mac)
		}
		return
	}
	item := "notificationItems[].NotificationRequestItem."
	x.w.proofs = []string{x.jsonText(item + "additionalData.hmacSignature")}
	for _, field := range []string{"pspReference", "merchantAccountCode", "merchantReference", "amount.value", "amount.currency", "eventCode", "success"} {
		x.text(x.jsonText(item + field))
	}
	// That one may be absent and is then signed as nothing.
	if tree, ok := at(x.tree(), strings.Split(strings.TrimSuffix(item, "."), "."))[0].([]member); ok {
		for _, m := range tree {
			if m.key == "originalReference" {
				x.text(fmt.Sprint(m.value))
			}
		}
	}
}
