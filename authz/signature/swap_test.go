package signature_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// swapped is a scheme whose key is read from a file.
func swapped(t *testing.T, text string) (h *signature.Content, swap func(string)) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "s")
	swapTo := func(text string) {
		if err := os.WriteFile(name+"~", []byte(text), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(name+"~", name); err != nil {
			t.Error(err)
		}
	}
	swapTo(text)
	files := secret.NewFiles()
	if _, err := files.Read(name); err != nil {
		t.Fatal(err)
	}
	cell, err := files.Add(name, secret.Use{Accept: func(v secret.Value) (secret.Value, error) { return v, nil }})
	if err != nil {
		t.Fatal(err)
	}
	h, err = signature.New(signature.Config{
		Hash: signature.SHA256, Encoding: signature.Hex, Headers: []string{"x-sig"}, Grammar: signature.Bare,
		Content: []signature.Part{{Kind: signature.Body}}, MaxSignatures: 1,
	}, []signature.Key{{ID: "k", Cell: cell}})
	if err != nil {
		t.Fatal(err)
	}
	return h, func(text string) { swapTo(text); files.Refresh(time.Now(), nil) }
}

func signedBy(t *testing.T, text string) *authz.Request {
	t.Helper()
	h, _ := swapped(t, text)
	req := &authz.Request{Body: authz.Body{Segments: [][]byte{[]byte("the body")}}}
	if !h.Sign(req, authz.Signing{}) {
		t.Fatal("not signed")
	}
	return req
}

func verify(h *signature.Content, req *authz.Request) authz.Reason {
	return h.Verify(&authz.Call{Context: context.Background(), Request: req, Now: time.Now()}, nil)
}

// No keyed hash of an old key outlives it, however many were made.
func TestSwappedKey(t *testing.T) {
	h, swap := swapped(t, "first")
	first, second := signedBy(t, "first"), signedBy(t, "second")
	for range 100 {
		if verify(h, first) != authz.OK || verify(h, second) != authz.SignatureInvalid {
			t.Fatal("before the swap")
		}
		swap("second")
		if verify(h, second) != authz.OK || verify(h, first) != authz.SignatureInvalid {
			t.Fatal("after the swap")
		}
		swap("first")
	}
}

// While keys are swapped, each delivery is verified with one of them.
func TestSwapsRace(t *testing.T) {
	h, swap := swapped(t, "first")
	first, second, third := signedBy(t, "first"), signedBy(t, "second"), signedBy(t, "third")
	stop := make(chan struct{})
	var verifiers sync.WaitGroup
	for range 4 {
		verifiers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, b := verify(h, first), verify(h, second)
				if verify(h, third) != authz.SignatureInvalid || a != authz.OK && a != authz.SignatureInvalid || b != authz.OK && b != authz.SignatureInvalid {
					t.Error("a key that nobody has, or no answer")
					return
				}
			}
		})
	}
	for i := range 200 {
		swap([]string{"first", "second"}[i%2])
		if want := []*authz.Request{first, second}[i%2]; verify(h, want) != authz.OK {
			t.Error("the new key does not count")
		}
	}
	close(stop)
	verifiers.Wait()
}
