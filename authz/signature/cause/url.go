package cause

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// origin is a URL up to the request's path.
type origin struct{ scheme, host, port, prefix string }

func originOf(text string) origin {
	scheme, rest, _ := strings.Cut(text, "://")
	host, path, found := strings.Cut(rest, "/")
	o := origin{scheme: scheme, host: host}
	if found {
		o.prefix = "/" + path
	}
	if at := strings.LastIndexByte(host, ':'); at >= 0 && !strings.ContainsAny(host[at:], "]@") {
		o.host, o.port = host[:at], host[at+1:]
	}
	return o
}

func (o origin) String() string {
	text := o.scheme + "://" + o.host
	if o.port != "" {
		text += ":" + o.port
	}
	return text + o.prefix
}

// base is the URL that the webhook takes for signed, up to the path.
func (x *search) base() origin {
	if public := x.content.Config().PublicURL; public != "" {
		return originOf(public)
	}
	return originOf("https://" + string(x.Request.Host))
}

// urls are trials of the URL, for schemes that sign it.
func (x *search) urls() []trial {
	config := x.content.Config()
	if !config.SignsPath() && !config.SignsURL() {
		return nil
	}
	if pin := config.Pin; pin != (signature.Pin{}) {
		free := trial{kind: ofURL, Cause: Cause{
			"url_query_pinned", "the query is signed, and is another than pinned_query says", "say in pinned_query the query of the URL that the provider was given",
		}, config: func(*signature.Config) bool { return true }}
		if x.holds(&free) { // the URL is the one that was signed, and none of the others can be the cause
			if _, query, _ := strings.Cut(string(x.Request.Path), "?"); pin.Query && query != pin.Value {
				return []trial{free}
			}
			return nil
		}
	}
	all := paths(x.Request)
	base := x.base()
	origins := x.origins(base, config.SignsURL())
	// Those that differ least come first.
	slices.SortStableFunc(origins, func(a, b origin) int { return len(base.differences(a)) - len(base.differences(b)) })
	for _, o := range origins {
		differences := base.differences(o)
		if len(differences) == 0 {
			continue
		}
		var ids, says []string
		for _, d := range differences {
			ids, says = append(ids, d.ID), append(says, d.Says)
		}
		all = append(all, trial{
			rare:  len(differences) > 1,
			Cause: Cause{strings.Join(ids, "+"), strings.Join(says, ", "), "say public_url: " + o.shown() + " in the policy, if that is the address that the provider was given"},
			kind:  ofURL, config: func(c *signature.Config) bool { c.PublicURL = o.String(); return true },
		})
	}
	return all
}

// shown is an origin without credentials.
func (o origin) shown() string {
	if at := strings.LastIndexByte(o.host, '@'); at >= 0 {
		o.host = o.host[at+1:]
	}
	return o.String()
}

// differences says in what another origin differs.
func (o origin) differences(other origin) []Cause {
	var all []Cause
	add := func(id, what, was, is string) {
		if was != is {
			if is == "" {
				is = "none"
			}
			if was == "" {
				was = "none"
			}
			all = append(all, Cause{ID: id, Says: "the URL was signed with " + what + " " + is + ", and " + was + " is expected"})
		}
	}
	add("url_scheme", "the scheme", o.scheme, other.scheme)
	a, b := o, other
	a.scheme, a.port, a.prefix, b.scheme, b.port, b.prefix = "", "", "", "", "", ""
	add("url_host", "the host", strings.TrimPrefix(a.shown(), "://"), strings.TrimPrefix(b.shown(), "://"))
	add("url_port", "the port", o.port, other.port)
	add("url_prefix", "the prefix", o.prefix, other.prefix)
	return all
}

// usualPrefixes are what gateways often take off.
var usualPrefixes = []string{"", "/api", "/api/v1", "/v1", "/v2", "/hooks", "/webhooks", "/webhook", "/prod", "/production", "/stage", "/staging", "/dev", "/test", "/default", "/public", "/external", "/ingress"}

// origins are those that the sender may have been given. Where only the path is signed they
// differ in the prefix alone.
func (x *search) origins(base origin, whole bool) []origin {
	header := func(name string) string {
		value, _ := x.Request.Headers.Lookup(name)
		first, _, _ := strings.Cut(string(value), ",")
		return strings.TrimSpace(first)
	}
	prefixes := append([]string{base.prefix, strings.TrimSuffix(header("x-forwarded-prefix"), "/")}, usualPrefixes...)
	for _, p := range slices.Clone(prefixes) {
		if base.prefix != "" && p != "" && p != base.prefix {
			prefixes = append(prefixes, p+base.prefix)
		}
	}
	schemes, hosts, ports := []string{base.scheme}, []string{base.host}, []string{base.port}
	if whole {
		requested := originOf("https://" + string(x.Request.Host))
		forwarded := forwardedHost.FindStringSubmatch(header("forwarded"))
		schemes = []string{"https", "http"}
		for _, h := range []string{requested.host, originOf("https://" + header("x-forwarded-host")).host, originOf("https://" + header("x-original-host")).host} {
			hosts = append(hosts, h, strings.ToLower(h))
		}
		if forwarded != nil {
			hosts = append(hosts, originOf("https://"+forwarded[1]).host)
		}
		hosts = append(hosts, "www."+base.host, strings.TrimPrefix(base.host, "www."))
		ports = []string{base.port, "", requested.port, header("x-forwarded-port"), "443", "80", "8080", "8443", "3000", "10000"}
	}
	var all []origin
	for _, scheme := range unique(schemes) {
		for _, host := range unique(hosts) {
			for _, port := range unique(ports) {
				for _, prefix := range unique(prefixes) {
					if o := (origin{scheme, host, port, prefix}); host != "" || !whole {
						all = append(all, o)
					}
				}
			}
		}
	}
	return all
}

var forwardedHost = regexp.MustCompile(`(?i)host="?([^";, ]+)`)

// unique keeps the first of equal texts.
func unique(all []string) []string {
	var kept []string
	for _, text := range all {
		if !slices.Contains(kept, text) && !strings.ContainsAny(text, " \t?#") {
			kept = append(kept, text)
		}
	}
	return kept
}

// paths are trials of the request's path and query.
func paths(req *authz.Request) []trial {
	var all []trial
	add := func(id, says, mend string, change func(path, query string) (string, string)) {
		all = append(all, trial{Cause: Cause{id, says, mend}, kind: ofURL, request: func(r *authz.Request) bool {
			path, query, has := strings.Cut(string(req.Path), "?")
			newPath, newQuery := change(path, query)
			text := newPath
			if has && newQuery != "\x00" || newQuery != "" && newQuery != "\x00" {
				text += "?" + newQuery
			}
			if text == string(req.Path) || text == "" {
				return false
			}
			r.Path = authz.View(text)
			return true
		}})
	}
	const gateway = "let nothing before Hookbastion rewrite the path"
	for _, name := range []string{"x-envoy-original-path", "x-original-uri", "x-original-url", "x-forwarded-uri", "x-rewrite-url"} {
		if value, n := req.Headers.Lookup(name); n > 0 && bytes.HasPrefix(value, []byte("/")) {
			original, query, has := strings.Cut(string(value), "?")
			add("url_prefix", "the path of "+name+" was signed, which a gateway has changed", "say what was taken off in public_url, or let Envoy rewrite behind the filter", func(string, string) (string, string) {
				if !has {
					return original, "\x00"
				}
				return original, query
			})
		}
	}
	add("url_slash", "the path was signed with a slash at its end", gateway, func(p, q string) (string, string) { return p + "/", q })
	add("url_slash", "the path was signed without the slash at its end", gateway, func(p, q string) (string, string) { return strings.TrimSuffix(p, "/"), q })
	add("url_no_query", "the URL was signed without its query", "let the sender sign the whole URL, or register the address without a query", func(p, _ string) (string, string) { return p, "\x00" })
	add("url_query_decoded", "the query was signed decoded", asURL, func(p, q string) (string, string) { return p, unescaped(q) })
	add("url_query_encoded", "the query was signed with its parameters encoded, and came decoded", asURL, func(p, q string) (string, string) { return p, encoded(q, url.QueryEscape) })
	add("url_query_encoded", "the query was signed with its parameters encoded, spaces as %20", asURL, func(p, q string) (string, string) {
		return p, encoded(q, func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") })
	})
	add("url_query_encoded", "the query was signed with %20 for spaces, and came with +", asURL, func(p, q string) (string, string) { return p, strings.ReplaceAll(q, "+", "%20") })
	add("url_query_encoded", "the query was signed with + for spaces, and came with %20", asURL, func(p, q string) (string, string) { return p, strings.ReplaceAll(q, "%20", "+") })
	add("url_query_order", "the query was signed with its parameters in order of their names", asURL, func(p, q string) (string, string) {
		parts := strings.Split(q, "&")
		slices.Sort(parts)
		return p, strings.Join(parts, "&")
	})
	add("url_path_decoded", "the path was signed decoded", asURL, func(p, q string) (string, string) {
		text, err := url.PathUnescape(p)
		if err != nil {
			return p, q
		}
		return text, q
	})
	add("url_path_encoded", "the path was signed with its escapes in lower case", asURL, func(p, q string) (string, string) {
		return escapes.ReplaceAllStringFunc(p, strings.ToLower), escapes.ReplaceAllStringFunc(q, strings.ToLower)
	})
	add("url_path_encoded", "the path was signed with its escapes in upper case", asURL, func(p, q string) (string, string) {
		return escapes.ReplaceAllStringFunc(p, strings.ToUpper), escapes.ReplaceAllStringFunc(q, strings.ToUpper)
	})
	add("url_path_case", "the path was signed in lower case", gateway, func(p, q string) (string, string) { return strings.ToLower(p), q })
	add("url_prefix", "the path was signed without its first part, which a gateway has added", "let Envoy rewrite behind the filter", func(p, q string) (string, string) {
		_, rest, ok := strings.Cut(strings.TrimPrefix(p, "/"), "/")
		if !ok {
			return p, q
		}
		return "/" + rest, q
	})
	return all
}

const asURL = "let the sender sign the URL as it sends it, and let nothing on the way write it anew"

var escapes = regexp.MustCompile(`%[0-9a-fA-F]{2}`)

func unescaped(query string) string {
	text, err := url.QueryUnescape(query)
	if err != nil {
		return query
	}
	return text
}

// encoded is a query with its names and values encoded in a way.
func encoded(query string, escape func(string) string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, value, has := strings.Cut(part, "=")
		parts[i] = escape(unescaped(name))
		if has {
			parts[i] += "=" + escape(unescaped(value))
		}
	}
	return strings.Join(parts, "&")
}
