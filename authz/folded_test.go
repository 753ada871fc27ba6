package authz

import "testing"

var pathsToFold = []string{
	"/", "/a", "/a/b", "/a/", "//a", "/a//b", "/A", "/a.", "/a./b", "/.a/b", "/.", "/..", "/./a", "/a/.", "/a b", "/a%41", "/a+b", "/a\\b", "/é", "/ａ",
	"/webhooks/acme_1/stripe-eu", "/webhooks/Acme/stripe", "", "a", "/a.json", "/a~b:c", "/\x00", "/ß", "/a\u00ad", "/%", "/a;b", "/..a", "/a../b",
}

// What is taken for folded is.
func TestFoldedPaths(t *testing.T) {
	quick := 0
	for _, path := range pathsToFold {
		if isFolded([]byte(path)) {
			quick++
			if got := string(foldPath(nil, []byte(path))); got != path {
				t.Errorf("%q is folded to %q", path, got)
			}
		}
	}
	if quick < 5 || !isFolded([]byte("/webhooks/acme_1/stripe-eu")) {
		t.Errorf("%d paths need no folding", quick)
	}
}

// FuzzFolded looks for a path that folding changes and that is taken for folded.
func FuzzFolded(f *testing.F) {
	for _, path := range pathsToFold {
		f.Add([]byte(path))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		if isFolded(path) {
			if got := foldPath(nil, path); string(got) != string(path) {
				t.Fatalf("%q is folded to %q", path, got)
			}
		}
	})
}

func BenchmarkFoldedPath(b *testing.B) {
	path := []byte("/webhooks/acme_1/stripe-eu")
	var buf [256]byte
	b.Run("fold", func(b *testing.B) {
		for b.Loop() {
			foldPath(buf[:0], path)
		}
	})
	b.Run("look", func(b *testing.B) {
		for b.Loop() {
			isFolded(path)
		}
	})
}
