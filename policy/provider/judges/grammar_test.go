package judges_test

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// newRandom returns the same numbers for the same judge.
func newRandom(j *judge) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(j.name()))
	return rand.New(rand.NewPCG(h.Sum64(), 2026)) //nolint:gosec // not a secret
}

var (
	hexMAC    = regexp.MustCompile(`\b(?:[0-9a-f]{128}|[0-9a-f]{64}|[0-9a-f]{40})$`)
	base64MAC = regexp.MustCompile(`(?:[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{27}=)$`)
	urlMAC    = regexp.MustCompile(`[A-Za-z0-9_-]{43}$`)
)

// macOf splits a signature header's value into what stands before the MAC and
// the MAC.
func macOf(s *policyv1.NamedScheme, value string) (before, mac string) {
	pattern := hexMAC
	switch s.GetScheme().GetHmac().GetEncoding() {
	case policyv1.Hmac_BASE64:
		pattern = base64MAC
	case policyv1.Hmac_BASE64URL:
		pattern = urlMAC
	case policyv1.Hmac_HEX, policyv1.Hmac_ENCODING_UNSPECIFIED:
	}
	mac = pattern.FindString(value)
	return strings.TrimSuffix(value, mac), mac
}

// textCases write the MAC in other ways.
func textCases(s *policyv1.NamedScheme, parts []part, signed *delivery, sign signer, j *judge) []testCase {
	if s.GetScheme().GetHmac() == nil || len(parts) == 0 {
		return nil
	}
	p := parts[0]
	before, mac := macOf(s, p.value)
	if mac == "" {
		return nil
	}
	var list []testCase
	add := func(name, text string) {
		list = append(list, testCase{name: "MAC: " + name, delivery: signed.with(p.name, before+text)})
	}
	add("all zeros", strings.Repeat("0", len(mac)))
	add("first half", mac[:len(mac)/2])
	switch s.GetScheme().GetHmac().GetEncoding() {
	case policyv1.Hmac_HEX:
		add("in capitals", strings.ToUpper(mac))
		add("with 0x before", "0x"+mac)
		raw, _ := strconv.ParseUint(mac[:2], 16, 8)
		add("as base64", base64.StdEncoding.EncodeToString([]byte{byte(raw)})+mac[2:])
	case policyv1.Hmac_BASE64:
		add("without padding", strings.TrimRight(mac, "="))
		add("more padding", mac+"=")
		add("other unused bits", otherBits(mac))
		list = append(list, urlAlphabet(s, sign, j, p.name))
	case policyv1.Hmac_BASE64URL:
		add("with padding", mac+"=")
		add("other unused bits", otherBits(mac + "=")[:len(mac)])
	case policyv1.Hmac_ENCODING_UNSPECIFIED:
	}
	return list
}

// otherBits sets a bit of the last character that no byte has.
func otherBits(mac string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	digits := strings.TrimRight(mac, "=")
	last := strings.IndexByte(strings.NewReplacer("-", "+", "_", "/").Replace(alphabet), digits[len(digits)-1])
	return digits[:len(digits)-1] + string(alphabet[(last|1)&63]) + mac[len(digits):]
}

// urlAlphabet finds a delivery whose MAC has a + or /, and writes it for URLs.
// It looks among longer bodies and, where no body is signed, among nonces, which
// may come from the time.
func urlAlphabet(s *policyv1.NamedScheme, sign signer, j *judge, name string) testCase {
	body := j.bodyAt(signedAt)
	for n := range 1000 {
		d := sign(body+strings.Repeat(" ", n), signedAt.Add(time.Duration(n)))
		before, mac := macOf(s, d.get(name))
		if other := strings.NewReplacer("+", "-", "/", "_").Replace(mac); other != mac {
			return testCase{name: "MAC: alphabet for URLs", delivery: d.with(name, before+other)}
		}
	}
	panic(j.name() + ": no MAC has a + or /")
}

// listCases put other entries beside the good signature.
func listCases(s *policyv1.NamedScheme, parts []part, signed *delivery) []testCase {
	if s.GetScheme().GetHmac() == nil || len(parts) == 0 {
		return nil
	}
	sig := s.GetScheme().GetHmac().GetSignature()
	p := parts[0]
	before, mac := macOf(s, p.value)
	if mac == "" {
		return nil
	}
	wrong := mac[1:len(mac)-2] + mac[:1] + mac[len(mac)-2:]
	var list []testCase
	add := func(name, value string) {
		list = append(list, testCase{name: "list: " + name, delivery: signed.with(p.name, value)})
	}
	switch sig.GetGrammar() {
	case policyv1.Signature_KEY_VALUE:
		separator := sig.GetSeparator()
		if separator == "" {
			separator = ","
		}
		time := strings.TrimSuffix(before, separator+sig.GetKey()+"=")
		item := sig.GetKey() + "=" + mac
		join := func(items ...string) string { return strings.Join(items, separator) }
		add("a wrong one before", join(time, sig.GetKey()+"="+wrong, item))
		add("a wrong one behind", join(time, item, sig.GetKey()+"="+wrong))
		add("six wrong ones before", join(time, strings.Repeat(sig.GetKey()+"="+wrong+separator, 6)+item))
		add("an undecodable one before", join(time, sig.GetKey()+"=x", item))
		add("another version before", join(time, "v9="+wrong, item))
		add("another version behind", join(time, item, "v9="+wrong))
		add("another version with the MAC", join(time, "v9="+mac))
		add("no version", join(time, mac))
		add("the time behind", join(item, time))
		add("the time twice", join(time, time, item))
		add("another time before", join(earlier(time), time, item))
		add("another time behind", join(time, item, earlier(time)))
		add("no time", item)
		add("spaces behind separators", strings.Join([]string{time, item}, separator+" "))
		add("a separator behind", p.value+separator)
		add("another separator", strings.ReplaceAll(p.value, separator, "|"))
		add("an item without a value", join(time, item, "x"))
		add("an empty item", join(time, "", item))
	case policyv1.Signature_SPACE_LIST:
		version := sig.GetPrefix() + ","
		add("a wrong one before", version+wrong+" "+p.value)
		add("a wrong one behind", p.value+" "+version+wrong)
		add("six wrong ones before", strings.Repeat(version+wrong+" ", 6)+p.value)
		add("an undecodable one before", version+"x "+p.value)
		add("another version before", "v9,"+wrong+" "+p.value)
		add("another version with the MAC", "v9,"+mac)
		add("v1a before", "v1a,"+wrong+" "+p.value)
		add("no version", mac)
		add("an entry without a comma before", "x "+p.value)
		add("two spaces", version+wrong+"  "+p.value)
		add("a comma behind", p.value+",")
		add("commas between", version+wrong+", "+p.value)
		add("tab between", version+wrong+"\t"+p.value)
	case policyv1.Signature_PREFIX:
		add("no prefix", mac)
		add("prefix in capitals", strings.ToUpper(before)+mac)
		add("another prefix", "v9="+mac)
		add("a space behind the prefix", before+" "+mac)
		add("a wrong one before, comma", before+wrong+","+p.value)
		add("a wrong one behind, comma", p.value+","+before+wrong)
		add("an item behind, equals sign", p.value+"=x")
	default:
		add("a wrong one before, comma", wrong+","+p.value)
		add("a wrong one behind, comma", p.value+","+wrong)
		add("a prefix", "sha256="+p.value)
	}
	return list
}

var digits = regexp.MustCompile(`[0-9]{9,}`)

// earlier is the text with its time one unit before.
func earlier(text string) string {
	return digits.ReplaceAllStringFunc(text, func(n string) string {
		v, _ := strconv.ParseInt(n, 10, 64)
		return strconv.FormatInt(v-1, 10)
	})
}

// offsets are how much later than the signature a delivery comes, in seconds.
// They stand at both sides of each window that a library or we have.
var offsets = []int{
	-86400, -301, -300, -299, -181, -180, -61, -60, -59, -30, -6, -5, -1, 1, 4, 5, 6, 29, 30, 31, 59, 60, 61, 179, 180, 181,
	299, 300, 301, 599, 600, 601, 1799, 1800, 1801, 86400,
}

// timeCases come at other times, and write the time in other ways.
func timeCases(j *judge, s *policyv1.NamedScheme, parts []part, signed *delivery, sign signer) []testCase {
	stamp := s.GetScheme().Signed().GetTimestamp()
	if stamp == nil {
		late := testCase{name: "time: a year later", delivery: signed, now: signedAt.AddDate(1, 0, 0)}
		return []testCase{late}
	}
	var list []testCase
	for _, seconds := range offsets {
		name := fmt.Sprintf("time: %ds later", seconds)
		if seconds < 0 {
			name = fmt.Sprintf("time: %ds earlier", -seconds)
		}
		list = append(list, testCase{name: name, delivery: signed, now: signedAt.Add(time.Duration(seconds) * time.Second)})
	}
	for _, p := range parts {
		inHeader := p.role == "time" || p.role == "signature" && stamp.GetKey() != ""
		if !inHeader || !digits.MatchString(p.value) || stamp.GetUnit() == policyv1.Timestamp_RFC3339 {
			continue
		}
		for _, c := range []struct{ name, form string }{
			{"with a fraction", "$0.5"}, {"with a zero before", "0$0"}, {"with a plus before", "+$0"}, {"with text behind", "${0}x"},
			{"with an exponent", "${0}e0"}, {"in hex", "0x6b49d200"}, {"negative", "-$0"}, {"words", "yesterday"}, {"huge", "99999999999999999999"},
		} {
			first := digits.FindString(p.value)
			at := strings.Index(p.value, first)
			value := p.value[:at] + digits.ReplaceAllString(first, c.form) + p.value[at+len(first):]
			list = append(list, testCase{name: "time: " + c.name, delivery: signed.with(p.name, value)})
		}
		list = append(list, testCase{name: "time: one unit changed", delivery: signed.with(p.name, strings.Replace(p.value, digits.FindString(p.value), digits.FindString(earlier(p.value)), 1))})
	}
	return list
}
