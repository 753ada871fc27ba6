package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// queryHash is the hash of method, path and query that Atlassian's tokens hold
// in the claim qsh. It does not cover the body. The prefix is what a gateway took
// off the path.
// https://developer.atlassian.com/cloud/bitbucket/query-string-hash/
func queryHash(req *authz.Request, prefix []byte) string {
	path := strings.ReplaceAll(string(prefix)+string(req.PathOnly()), "&", "%26")
	if path = strings.TrimRight(path, "/"); path == "" {
		path = "/"
	}
	query, ok := canonicalQuery(req)
	if !ok {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.ToUpper(string(req.Method)) + "&" + path + "&" + query))
	return hex.EncodeToString(sum[:])
}

// canonicalQuery has the parameters sorted by name, the values of one name
// sorted and joined with commas, everything encoded anew.
func canonicalQuery(req *authz.Request) (string, bool) {
	all, err := queryOf(req)
	if err != nil {
		return "", false
	}
	values := map[string][]string{}
	for _, p := range all {
		if p.name != "jwt" {
			name := escape(p.name, "-_.~")
			values[name] = append(values[name], escape(p.value, "-_.~"))
		}
	}
	var items []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		slices.Sort(values[name])
		items = append(items, name+"="+strings.Join(values[name], ","))
	}
	return strings.Join(items, "&"), true
}

// queryHashHolds reports whether qsh is the hash of the request. What is hashed is
// the path below the app's base URL, which may have the prefix or not.
func (j *JWS) queryHashHolds(req *authz.Request, claims jose.Members) bool {
	claimed, _ := claims.Text("qsh")
	for _, prefix := range [][]byte{j.public.prefix, nil} {
		if want := queryHash(req, prefix); want != "" && secret.Equal([]byte(claimed), []byte(want)) {
			return true
		}
	}
	return false
}
