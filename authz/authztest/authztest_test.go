package authztest_test

import (
	"bytes"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest"
)

func TestBuilders(t *testing.T) {
	req := authztest.POST("h", "/p?q", "a body of bytes", "X-Two", "1", "x-two", "2")
	if v, n := req.Headers.Lookup("x-two"); n != 2 || string(v) != "1" || req.Body.State != authz.BodyWhole || req.Body.Len() != int(req.Body.Size) {
		t.Errorf("%+v", req)
	}
	cut := authztest.Segmented(req, 4)
	if !bytes.Equal(bytes.Join(cut.Body.Segments, nil), []byte("a body of bytes")) || len(cut.Body.Segments) != 7 || len(req.Body.Segments) != 1 {
		t.Errorf("%q", cut.Body.Segments)
	}
	authztest.Decide(t, authztest.Table(authztest.Proven()), req, authz.OK)
	authztest.Decide(t, authztest.Table(), req, authz.Internal)
	authztest.Decide(t, nil, req, authz.NotReady)
}
